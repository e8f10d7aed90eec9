//! Reading a JSON Web Key Set (RFC 7517, section 5) that somebody else has written.
//!
//! A key that is not understood is left out, as the RFC asks: sets also hold keys for encryption and of kinds yet to come.

use serde::Deserialize;
use serde_json::Value;

use crate::VerifyingKey;

/// The most keys that are taken from one set. A token without `kid` is tried against all of them.
const MAX_KEYS: usize = 32;

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The usable keys of a set, one at least.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<VerifyingKey>, KeySetError> {
    let document: Document = serde_json::from_slice(body).map_err(|_| KeySetError::Form)?;
    let offered = document.keys.len();
    let usable = document.keys.iter().filter_map(|key| VerifyingKey::from_jwk(key).ok());
    let keys: Vec<_> = usable.take(MAX_KEYS).collect();
    if keys.is_empty() { Err(KeySetError::Useless { offered }) } else { Ok(keys) }
}

/// An answer that holds no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Of another form.
    #[error("the answer is no JSON Web Key Set")]
    Form,
    /// Without a key for signatures. To an issuer that has lost all of its keys it is better not to listen.
    #[error("none of the set's {offered} keys is for signatures and of a supported kind")]
    Useless {
        /// How many keys it has.
        offered: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn rsa(changes: Value) -> Value {
        let modulus = "w".repeat(342);
        let mut key = json!({"kty": "RSA", "n": modulus, "e": "AQAB", "kid": "k1"});
        let all = key.as_object_mut().unwrap();
        let Value::Object(changes) = changes else { panic!("{changes} is no object") };
        all.extend(changes);
        all.retain(|_, value| !value.is_null());
        key
    }

    fn check(keys: &Value, expected: Result<usize, KeySetError>) {
        let body = json!({"keys": keys}).to_string();
        assert_eq!(parse(body.as_bytes()).map(|keys| keys.len()), expected, "{body}");
    }

    #[test]
    fn keys_for_signatures_are_taken() {
        let none = Err(KeySetError::Useless { offered: 1 });
        for changes in [
            json!({}),
            json!({"use": "sig", "alg": "RS256", "x5c": ["MII"], "x5t": "abc"}),
            json!({"alg": "PS256", "key_ops": ["verify"]}),
            json!({"kid": null}),
            json!({"alg": null, "exp": 1_790_000_000, "issuer": {"any": ["thing"]}}),
        ] {
            check(&json!([rsa(changes)]), Ok(1));
        }
        for changes in [
            json!({"use": "enc"}),
            json!({"use": "sig", "alg": "RSA-OAEP"}),
            json!({"alg": "HS256"}),
            json!({"alg": "ES256"}),
            json!({"alg": "none"}),
            json!({"alg": 1}),
            json!({"key_ops": ["sign"]}),
            json!({"kty": "oct", "k": "AAAA", "n": null, "e": null}),
            json!({"kty": "EC", "crv": "P-256"}),
            json!({"kty": "rsa"}),
            json!({"kty": null}),
            json!({"n": "AQAB"}),
            json!({"n": "w".repeat(170)}),
            json!({"n": "not base64"}),
            json!({"d": "AQAB"}),
            json!({"kid": "k".repeat(300)}),
            json!({"kid": 1}),
        ] {
            check(&json!([rsa(changes)]), none);
        }
    }

    #[test]
    fn points_have_their_curves_size() {
        let (short, long) = ("A".repeat(43), "A".repeat(64));
        let point = |curve: &str, x: &str, y: &str| json!([{"kty": "EC", "crv": curve, "x": x, "y": y}]);
        let none = Err(KeySetError::Useless { offered: 1 });
        check(&point("P-256", &short, &short), Ok(1));
        check(&point("P-384", &long, &long), Ok(1));
        check(&point("P-256", &long, &long), none);
        check(&point("P-256", &short, &long), none);
        check(&point("P-384", &short, &short), none);
        check(&point("P-521", &short, &short), none);
        check(&point("secp256k1", &short, &short), none);
        check(&json!([{"kty": "OKP", "crv": "Ed25519", "x": short}]), Ok(1));
        check(&json!([{"kty": "OKP", "crv": "Ed25519", "x": long}]), none);
        check(&json!([{"kty": "OKP", "crv": "X25519", "x": short}]), none);
    }

    #[test]
    fn what_is_not_understood_hides_nothing_else() {
        check(&json!([1, null, "key", {}, rsa(json!({"use": "enc"})), rsa(json!({}))]), Ok(1));
        check(&json!([]), Err(KeySetError::Useless { offered: 0 }));
        check(&json!(vec![rsa(json!({})); 100]), Ok(MAX_KEYS));
        for body in ["", "[]", "null", "{}", "{\"keys\":{}}", "<html>", "\u{0}"] {
            assert_eq!(parse(body.as_bytes()).unwrap_err(), KeySetError::Form, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(parse(&body).is_err());
        }

        #[test]
        fn any_members_are_read_or_left_out(
            kty in "RSA|EC|OKP|oct|.{0,3}",
            curve in "P-256|P-384|Ed25519|.{0,3}",
            text in "[A-Za-z0-9_-]{0,70}|.{0,9}",
        ) {
            let key = json!({"kty": kty, "crv": curve, "x": text, "y": text, "n": text, "e": text, "k": text});
            drop(parse(json!({"keys": [key]}).to_string().as_bytes()));
        }
    }
}
