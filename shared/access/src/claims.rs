//! The verified claims of a token.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tidings_model::Tenant;

/// Verified claims. Outside of tests, only a [`Verifier`](crate::Verifier) creates them.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// The user: `sub`, never empty.
    pub subject: String,
    /// The user's tenant; the issuer may issue tokens for it. The caller checks whether the gateway serves it.
    pub tenant: Tenant,
    /// When the token expires: `exp` in whole seconds since 1970, at most those of the year 9999.
    ///
    /// A token is accepted until the verifier's leeway has passed after this time, so it may lie in the past by that
    /// much. Code that ends a connection at expiry must add the same leeway.
    pub expires_at: u64,
    /// When the token was issued: `iat` in whole seconds since 1970. `None` if it is absent.
    pub issued_at: Option<u64>,
    /// All claims, including the above.
    pub all: Map<String, Value>,
}

impl Claims {
    /// Returns the texts of the claim at `path`: one for a string or a number, one for each string or number in a list,
    /// none for anything else. Numbers keep the issuer's spelling.
    ///
    /// A path is a claim's name (`role`), or names joined by dots that lead into objects (`realm_access.roles`). A
    /// claim whose name contains dots (`https://app.example/roles`) takes precedence.
    pub fn claim_texts(&self, path: &str) -> impl Iterator<Item = Cow<'_, str>> {
        let values = match value_at(&self.all, path) {
            Some(Value::Array(elements)) => elements.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        values.iter().filter_map(as_text)
    }

    /// Returns the token's scopes: the words of `scope` (RFC 8693, section 4.2), or of `scp` if there is no `scope`.
    /// Some issuers use `scp`. Either may be one text of words separated by spaces, or a list.
    pub fn scopes(&self) -> impl Iterator<Item = String> {
        let name = if self.all.contains_key("scope") { "scope" } else { "scp" };
        let words = |text: Cow<'_, str>| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
        self.claim_texts(name).flat_map(words)
    }
}

/// Returns the value at a path; [`Claims::claim_texts`] describes paths.
pub(crate) fn value_at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        let (name, rest) = path.split_once('.')?;
        value_at(claims.get(name)?.as_object()?, rest)
    })
}

fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Borrowed(number.as_str())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scopes_are_words_however_they_are_written() {
        let check = |all: serde_json::Value, expected: &[&str]| {
            let claims = Claims {
                subject: "ada".to_owned(),
                tenant: Tenant::parse("ops").unwrap(),
                expires_at: 0,
                issued_at: None,
                all: all.as_object().unwrap().clone(),
            };
            assert_eq!(claims.scopes().collect::<Vec<_>>(), expected, "{all}");
        };
        check(json!({}), &[]);
        check(json!({"scope": "openid tidings:admin"}), &["openid", "tidings:admin"]);
        check(json!({"scope": ["openid", "tidings:admin"]}), &["openid", "tidings:admin"]);
        check(json!({"scp": "openid tidings:admin"}), &["openid", "tidings:admin"]);
        check(json!({"scp": ["openid", "tidings:admin"]}), &["openid", "tidings:admin"]);
        check(json!({"scope": "openid", "scp": "tidings:admin"}), &["openid"]);
        check(json!({"scope": null, "scp": "tidings:admin"}), &[]);
        check(json!({"scope": "  a  b ", "scp": 1}), &["a", "b"]);
    }

    #[test]
    fn claims_give_their_texts() {
        let all = json!({
            "sub": "ada",
            "orgId": 17,
            "ratio": 1.50,
            "role": ["sre", 2, true, null, ["x"], {"y": "z"}],
            "admin": true,
            "nothing": null,
            "realm_access": {"roles": ["lead", "sre"], "a.b": "inner"},
            "https://app.example/roles": "viewer",
        });
        let claims = Claims {
            subject: "ada".to_owned(),
            tenant: Tenant::parse("ops").unwrap(),
            expires_at: 0,
            issued_at: None,
            all: all.as_object().unwrap().clone(),
        };
        let check = |path: &str, expected: &[&str]| {
            assert_eq!(claims.claim_texts(path).collect::<Vec<_>>(), expected, "at {path:?}");
        };
        check("sub", &["ada"]);
        check("orgId", &["17"]);
        check("role", &["sre", "2"]);
        check("admin", &[]);
        check("nothing", &[]);
        check("absent", &[]);
        check("", &[]);
        check("realm_access", &[]);
        check("realm_access.roles", &["lead", "sre"]);
        check("realm_access.a.b", &["inner"]);
        check("realm_access.absent", &[]);
        check("sub.roles", &[]);
        check("https://app.example/roles", &["viewer"]);
    }
}
