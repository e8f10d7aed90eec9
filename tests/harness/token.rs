//! Tokens as an application's own identity service would issue them.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;

/// Seconds for which a token is valid whose claims do not say otherwise.
const LIFETIME: u64 = 3600;

/// A token with these claims, signed with HS256. Without an `exp` claim it expires in an hour; `"exp": null` leaves the claim out.
#[must_use]
pub fn token(secret: &str, claims: Value) -> String {
    jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &with_expiry(claims),
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .unwrap()
}

/// The claims with an `exp`, unless they say otherwise.
pub(crate) fn with_expiry(mut claims: Value) -> Value {
    let members = claims.as_object_mut().expect("claims are a JSON object");
    if !members.contains_key("exp") {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_secs();
        members.insert("exp".into(), (now + LIFETIME).into());
    }
    members.retain(|_, value| !value.is_null());
    claims
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_valid_for_its_secret_alone() {
        let token = token("right", json!({ "sub": "ada", "role": "sre" }));
        let decode = |secret: &str| {
            let key = DecodingKey::from_secret(secret.as_bytes());
            jsonwebtoken::decode::<Value>(&token, &key, &Validation::new(Algorithm::HS256))
        };
        let claims = decode("right").unwrap().claims;
        assert_eq!((&claims["sub"], &claims["role"]), (&json!("ada"), &json!("sre")));
        decode("wrong").unwrap_err();
    }

    #[test]
    fn expiry_can_be_set_and_left_out() {
        let check = |claims: Value, required: &[&str], valid: bool| {
            let mut validation = Validation::new(Algorithm::HS256);
            validation.set_required_spec_claims(required);
            let key = DecodingKey::from_secret(b"secret");
            let outcome = jsonwebtoken::decode::<Value>(token("secret", claims), &key, &validation);
            assert_eq!(outcome.is_ok(), valid, "{outcome:?}");
        };
        check(json!({}), &["exp"], true);
        check(json!({ "exp": 1 }), &["exp"], false);
        check(json!({ "exp": null }), &["exp"], false);
        check(json!({ "exp": null }), &[], true);
    }
}
