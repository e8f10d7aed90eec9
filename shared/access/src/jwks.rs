//! Parses a JSON Web Key Set (RFC 7517, section 5).
//!
//! Keys that this crate cannot use are omitted, as the RFC asks: sets also contain encryption keys and future kinds.

use serde_json::Value;
use tidings_model::json;

use crate::{KeyError, VerifyingKey};

/// The maximum number of keys from one set. A token without `kid` is checked with all of them.
pub(crate) const MAX_KEYS: usize = 32;

/// The keys of a set.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    pub(crate) keys: Vec<VerifyingKey>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// A key of a set that cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Its `kid`, if a token could name it.
    pub(crate) id: Option<String>,
    pub(crate) why: KeyError,
}

/// Parses a set. It may contain no usable key.
pub(crate) fn parse(body: &[u8]) -> Result<KeySet, KeySetError> {
    let document = json::parse_unique(body).map_err(|_| KeySetError::Form)?;
    let all = document.get("keys").and_then(Value::as_array).ok_or(KeySetError::Form)?;
    let mut set = KeySet::default();
    for jwk in all {
        let key = VerifyingKey::from_jwk(jwk);
        match key.and_then(|key| if set.keys.len() < MAX_KEYS { Ok(key) } else { Err(KeyError::TooMany) }) {
            Ok(key) => set.keys.push(key),
            Err(why) => {
                let id = jwk.get("kid").and_then(Value::as_str).filter(|id| id.len() <= VerifyingKey::MAX_ID);
                set.left_out.push(LeftOut { id: id.map(str::to_owned), why });
            }
        }
    }
    Ok(set)
}

/// Returns the usable keys of a fetched set, and the number of omitted keys.
pub fn usable_keys(body: &[u8]) -> Result<(Vec<VerifyingKey>, usize), KeySetError> {
    let KeySet { keys, left_out } = parse(body)?;
    Ok((keys, left_out.len()))
}

/// Why an answer is not a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// The answer has another form.
    #[error("the answer is no JSON Web Key Set (RFC 7517, section 5)")]
    Form,
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

    /// Checks that every key is either used or omitted.
    #[track_caller]
    fn check(keys: &Value, expected: usize) {
        let body = json!({"keys": keys}).to_string();
        let set = parse(body.as_bytes()).unwrap();
        assert_eq!(set.keys.len(), expected, "{body}");
        assert_eq!(set.left_out.len(), keys.as_array().unwrap().len() - expected, "{body}");
    }

    #[test]
    fn keys_for_signatures_are_taken() {
        for changes in [
            json!({}),
            json!({"use": "sig", "alg": "RS256", "x5c": ["MII"], "x5t": "abc"}),
            json!({"alg": "PS256", "key_ops": ["verify"]}),
            json!({"kid": null}),
            json!({"alg": null, "exp": 1_790_000_000, "issuer": {"any": ["thing"]}}),
        ] {
            check(&json!([rsa(changes)]), 1);
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
            check(&json!([rsa(changes)]), 0);
        }
    }

    #[test]
    fn points_have_their_curves_size() {
        let (short, long) = ("A".repeat(43), "A".repeat(64));
        let point = |curve: &str, x: &str, y: &str| json!([{"kty": "EC", "crv": curve, "x": x, "y": y}]);
        check(&point("P-256", &short, &short), 1);
        check(&point("P-384", &long, &long), 1);
        check(&point("P-256", &long, &long), 0);
        check(&point("P-256", &short, &long), 0);
        check(&point("P-384", &short, &short), 0);
        check(&point("P-521", &short, &short), 0);
        check(&point("secp256k1", &short, &short), 0);
        check(&json!([{"kty": "OKP", "crv": "Ed25519", "x": short}]), 1);
        check(&json!([{"kty": "OKP", "crv": "Ed25519", "x": long}]), 0);
        check(&json!([{"kty": "OKP", "crv": "X25519", "x": short}]), 0);
    }

    #[test]
    fn what_is_not_understood_hides_nothing_else() {
        check(&json!([1, null, "key", {}, rsa(json!({"use": "enc"})), rsa(json!({}))]), 1);
        check(&json!([]), 0);
        check(&json!(vec![rsa(json!({})); 100]), MAX_KEYS);
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
