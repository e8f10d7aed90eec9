//! Encryption for a browser (RFC 8291), in one record (RFC 8188).
//!
//! The crates that do this compute with OpenSSL; everything here computes with aws-lc.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::{Failed, SubscriptionKeys};

/// The size of a record, which is what every push service takes at least (RFC 8030, section 7.2).
const RECORD: usize = 4096;
const SALT: usize = 16;
const PUBLIC_KEY: usize = 65;
const AUTH: usize = 16;
/// Salt, size of a record, length of the key, key.
const HEADER: usize = SALT + 4 + 1 + PUBLIC_KEY;
const TAG: usize = 16;
/// Ends the text of the last record.
const LAST: u8 = 2;

/// The longest text.
const MAX_TEXT: usize = RECORD - HEADER - TAG - 1;

/// Encrypts a text for the browser with these keys.
pub(super) fn encrypt(keys: &SubscriptionKeys, text: &[u8]) -> Result<Vec<u8>, Failed> {
    if text.len() > MAX_TEXT {
        let length = text.len();
        return Err(Failed::never(format!("the content has {length} bytes; a push has at most {MAX_TEXT}")));
    }
    let Some((browser, auth)) = decode(keys) else {
        return Err(Failed::never(
            "the subscription's keys are malformed; the browser has to subscribe again",
        ));
    };
    let mut salt = [0; SALT];
    let own = rand::fill(&mut salt).and_then(|()| PrivateKey::generate(&ECDH_P256));
    let own = own.map_err(|_| Failed::later("the system has no random numbers"))?;
    encrypt_with(&own, salt, &browser, &auth, text).map_err(|_| {
        Failed::never(
            "the subscription's public key is no point of the curve; the browser has to subscribe again",
        )
    })
}

/// The browser's public key, and what it shares with the sender.
fn decode(keys: &SubscriptionKeys) -> Option<(Vec<u8>, Vec<u8>)> {
    let decode = |text: &str, length| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        bytes.filter(|bytes| bytes.len() == length)
    };
    Some((decode(&keys.p256dh, PUBLIC_KEY)?, decode(&keys.auth, AUTH)?))
}

/// Whether keys have the form of a browser's.
pub(crate) fn are_well_formed(keys: &SubscriptionKeys) -> bool {
    decode(keys).is_some()
}

/// The same with these keys of the sender.
fn encrypt_with(
    own: &PrivateKey,
    salt: [u8; SALT],
    browser: &[u8],
    auth: &[u8],
    text: &[u8],
) -> Result<Vec<u8>, Unspecified> {
    let public = own.compute_public_key()?;
    let public = public.as_ref();
    let shared = agree(own, UnparsedPublicKey::new(&ECDH_P256, browser), Unspecified, |shared| {
        let secret = Salt::new(HKDF_SHA256, auth).extract(shared);
        expand::<32>(&secret, &[b"WebPush: info\0", browser, public])
    })?;
    let secret = Salt::new(HKDF_SHA256, &salt).extract(&shared);
    let key = expand::<16>(&secret, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce = expand::<12>(&secret, &[b"Content-Encoding: nonce\0"])?;

    let mut record = [text, &[LAST]].concat();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)?;
    let size = u32::try_from(RECORD).map_err(|_| Unspecified)?.to_be_bytes();
    let key_length = [u8::try_from(public.len()).map_err(|_| Unspecified)?];
    Ok([&salt[..], &size, &key_length, public, &record].concat())
}

fn expand<const N: usize>(secret: &Prk, info: &[&[u8]]) -> Result<[u8; N], Unspecified> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut bytes = [0; N];
    secret.expand(info, Length(N))?.fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    /// RFC 8291, appendix A.
    #[test]
    fn the_example_of_the_rfc_is_reproduced() {
        let own = decoded("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let own = PrivateKey::from_private_key(&ECDH_P256, &own).unwrap();
        let browser = decoded(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        );
        let salt = decoded("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let text = b"When I grow up, I want to be a watermelon";
        let body = encrypt_with(&own, salt, &browser, &decoded("BTBZMqHH6r4Tts7J_aSIgg"), text).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz\
                        AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(body), expected);
    }

    #[test]
    fn two_pushes_of_one_text_have_nothing_in_common() {
        let browser =
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        let keys =
            SubscriptionKeys { p256dh: browser.to_owned(), auth: "BTBZMqHH6r4Tts7J_aSIgg==".to_owned() };
        let [one, other] = [(); 2].map(|()| encrypt(&keys, &[7; MAX_TEXT]).unwrap());
        assert_eq!((one.len(), other.len()), (RECORD, RECORD));
        assert!(one[..SALT] != other[..SALT] && one[HEADER - PUBLIC_KEY..] != other[HEADER - PUBLIC_KEY..]);
        assert!(matches!(encrypt(&keys, &[7; MAX_TEXT + 1]), Err(Failed::Never { .. })));
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        let good = SubscriptionKeys {
            p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
                .to_owned(),
            auth: "BTBZMqHH6r4Tts7J_aSIgg".to_owned(),
        };
        // The last one is as long as a point, and is none.
        for p256dh in
            [String::new(), "ä".to_owned(), "AAAA".to_owned(), BASE64_URL_SAFE_NO_PAD.encode([4; 65])]
        {
            let keys = SubscriptionKeys { p256dh, ..good.clone() };
            assert!(matches!(encrypt(&keys, b"text"), Err(Failed::Never { .. })), "{}", keys.p256dh);
        }
        let keys = SubscriptionKeys { auth: "AAAA".to_owned(), ..good };
        assert!(matches!(encrypt(&keys, b"text"), Err(Failed::Never { .. })));
    }
}
