//! Keys that seal what is stored: AES-256-GCM-SIV (RFC 8452) with random nonces.
//!
//! Each key has a name that is made of it, so that a record says which key opens it and nobody has to choose names. A nonce that
//! comes twice would only show whether two records are equal, so a key may seal as much as there is.

use std::fmt::{self, Write as _};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tidings_streams::contacts::Sealed;
use tidings_streams::users::UserName;

/// What the texts that are sealed here begin with, so that a key that is used elsewhere, too, opens nothing of it.
const CONTEXT: &[u8] = b"tidings contacts 1";
const KEY_BYTES: usize = 32;
/// Bytes of a key's hash in its name.
const NAME_BYTES: usize = 4;

/// The configured keys. The first seals, all open.
pub struct Keyring {
    first: Named,
    others: Vec<Named>,
}

struct Named {
    name: String,
    key: RandomizedNonceKey,
}

impl Keyring {
    /// Reads keys of 32 bytes in Base64, separated by spaces or line ends.
    pub fn parse(text: &[u8]) -> Result<Self, KeyringError> {
        let text = std::str::from_utf8(text).map_err(|_| KeyringError::Malformed { number: 1 })?;
        let keys = text.split_ascii_whitespace().enumerate();
        let keys = keys.map(|(index, text)| {
            let named = || {
                let bytes = BASE64_STANDARD.decode(text).ok().filter(|bytes| bytes.len() == KEY_BYTES)?;
                let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &bytes).ok()?;
                Some(Named { name: name_of(&bytes), key })
            };
            named().ok_or(KeyringError::Malformed { number: index + 1 })
        });
        let mut keys = keys.collect::<Result<Vec<_>, _>>()?.into_iter();
        let first = keys.next().ok_or(KeyringError::Empty)?;
        Ok(Self { first, others: keys.collect() })
    }

    /// Whether a record is sealed with the first key.
    #[must_use]
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        sealed.key == self.first.name
    }

    /// Seals a text for a user, with the first key.
    pub(crate) fn seal(&self, user: &UserName, text: &[u8]) -> Option<Sealed> {
        let mut sealed = text.to_vec();
        let nonce = self.first.key.seal_in_place_append_tag(context(user), &mut sealed).ok()?;
        let sealed = BASE64_STANDARD.encode([nonce.as_ref().as_slice(), &sealed].concat());
        Some(Sealed { key: self.first.name.clone(), sealed })
    }

    /// Opens what was sealed for this user.
    pub(crate) fn open(&self, user: &UserName, sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
        let mut keys = std::iter::once(&self.first).chain(&self.others);
        let named = keys.find(|named| named.name == sealed.key);
        let key = &named.ok_or_else(|| OpenError::UnknownKey { key: sealed.key.clone() })?.key;
        let opened = || {
            let mut bytes = BASE64_STANDARD.decode(&sealed.sealed).ok()?;
            let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            Some(key.open_in_place(nonce, context(user), text).ok()?.to_vec())
        };
        opened().ok_or(OpenError::Damaged)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = std::iter::once(&self.first).chain(&self.others);
        formatter.debug_list().entries(keys.map(|named| &named.name)).finish()
    }
}

/// What a sealed text is bound to.
fn context(user: &UserName) -> Aad<Vec<u8>> {
    let (tenant, user) = (user.tenant().as_str().as_bytes(), user.user().as_bytes());
    // The length keeps the tenant and the user apart.
    Aad::from([CONTEXT, &(tenant.len() as u64).to_be_bytes(), tenant, user].concat())
}

fn name_of(key: &[u8]) -> String {
    let hash = digest(&SHA256, &[b"tidings contacts key", key].concat());
    hash.as_ref().iter().take(NAME_BYTES).fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// Why keys cannot be used. It does not show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// There is none.
    #[error("there is no key; expected 32 bytes in Base64, such as `openssl rand -base64 32` prints")]
    Empty,
    /// A key is malformed.
    #[error(
        "key {number} is malformed; expected 32 bytes in Base64, such as `openssl rand -base64 32` prints"
    )]
    Malformed {
        /// Which one, from 1.
        number: usize,
    },
}

/// Why what was sealed cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was sealed with a key that is not configured here.
    #[error(
        "they are encrypted with the key {key}, which is not among `contacts.keys`; add it behind the others"
    )]
    UnknownKey {
        /// The key's name.
        key: String,
    },
    /// It was changed, or sealed for another user.
    #[error("they were altered, or are those of another user")]
    Damaged,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidings_model::Tenant;

    use super::*;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const TWO: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

    fn user(tenant: &str, user: &str) -> UserName {
        UserName::new(Tenant::parse(tenant).unwrap(), user).unwrap()
    }

    fn keyring(text: &str) -> Keyring {
        Keyring::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_record_opens_for_its_user_alone() {
        let (keys, ada) = (keyring(ONE), user("ops", "ada"));
        let sealed = keys.seal(&ada, b"ada@example.com").unwrap();
        assert!(!format!("{sealed:?}").contains("ada"), "{sealed:?}");
        assert_eq!(keys.open(&ada, &sealed).unwrap(), b"ada@example.com");
        assert_ne!(keys.seal(&ada, b"ada@example.com").unwrap(), sealed, "nobody sees what is equal");
        for other in [user("ops", "bob"), user("cnc", "ada"), user("op", "sada"), user("ops", "Ada")] {
            assert_eq!(keys.open(&other, &sealed), Err(OpenError::Damaged), "{other}");
        }
    }

    #[test]
    fn keys_are_rotated_one_after_the_other() {
        let ada = user("ops", "ada");
        let before = keyring(ONE).seal(&ada, b"text").unwrap();
        let (during, after) = (keyring(&format!("{TWO}\n{ONE}\n")), keyring(TWO));
        assert_eq!(during.open(&ada, &before).unwrap(), b"text");
        assert!(keyring(ONE).is_current(&before) && !during.is_current(&before));
        let again = during.seal(&ada, b"text").unwrap();
        assert_eq!(after.open(&ada, &again).unwrap(), b"text");
        let error = after.open(&ada, &before).unwrap_err();
        assert!(matches!(&error, OpenError::UnknownKey { key } if *key == before.key), "{error}");
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let short = ONE.get(4..).unwrap();
        for (text, expected) in [
            ("", KeyringError::Empty),
            (" \n", KeyringError::Empty),
            (short, KeyringError::Malformed { number: 1 }),
            (&format!("{ONE} secret"), KeyringError::Malformed { number: 2 }),
        ] {
            let error = Keyring::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error, expected, "{text:?}");
            assert!(!error.to_string().contains("secret"));
        }
        let shown = format!("{:?}", keyring(ONE));
        assert!(!shown.contains("AAEC") && shown.len() == "[\"01234567\"]".len(), "{shown}");
    }

    proptest! {
        /// Whatever is changed in a record, it does not open.
        #[test]
        fn what_was_altered_does_not_open(text in prop::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>(), bit in 0..8) {
            let (keys, ada) = (keyring(ONE), user("ops", "ada"));
            let mut sealed = keys.seal(&ada, &text).unwrap();
            let mut bytes = BASE64_STANDARD.decode(&sealed.sealed).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            sealed.sealed = BASE64_STANDARD.encode(bytes);
            prop_assert_eq!(keys.open(&ada, &sealed), Err(OpenError::Damaged));
        }
    }
}
