//! The record of a user: disabled or not, revoked tokens. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_model::json::present;
use tidings_model::{Address, Tenant, rfc3339_of_seconds, subject};

use crate::nats::record::Record;

/// The name of a user of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName {
    tenant: Tenant,
    user: String,
}

impl UserName {
    /// The maximum length of a user in bytes: that of an address's id.
    pub const MAX_LENGTH: usize = Address::MAX_ID_LENGTH;

    /// Creates the name. Any text of 1 to [`UserName::MAX_LENGTH`] bytes is valid.
    pub fn new(tenant: Tenant, user: impl Into<String>) -> Result<Self, UserNameError> {
        let user = user.into();
        if user.is_empty() || user.len() > Self::MAX_LENGTH {
            return Err(UserNameError { length: user.len() });
        }
        Ok(Self { tenant, user })
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The user, as the token names them.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// `<tenant>.<user>`, a key of a key-value bucket.
    pub(crate) fn to_key(&self) -> String {
        format!("{}.{}", self.tenant, subject::encode(&self.user))
    }

    /// Parses a key made by [`UserName::to_key`].
    pub(crate) fn from_key(key: &str) -> Option<Self> {
        let (tenant, user) = key.split_once('.')?;
        Self::new(Tenant::parse(tenant).ok()?, subject::decode(user)?).ok()
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.tenant, self.user)
    }
}

/// A text that cannot be a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a text of {length} bytes names no user; one of 1 to {max} bytes does", max = UserName::MAX_LENGTH)]
pub struct UserNameError {
    length: usize,
}

/// The record of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserState {
    /// Set if the user is disabled.
    #[serde(deserialize_with = "present")]
    pub disabled: Option<Mark>,
    /// Set if some of the user's tokens are revoked.
    #[serde(deserialize_with = "present")]
    pub revoked: Option<Revocation>,
}

/// Who disabled a user, when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub since: u64,
    /// The administrator.
    pub by: String,
    /// The reason given by the administrator.
    #[serde(deserialize_with = "present")]
    pub reason: Option<String>,
}

impl Mark {
    /// The mark as operators see it.
    #[must_use]
    pub fn shown(&self) -> Value {
        json!({ "since": rfc3339_of_seconds(self.since), "by": self.by, "reason": self.reason })
    }
}

/// Which tokens are revoked, by whom, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Tokens issued before this second (since 1970-01-01T00:00:00Z) are refused.
    pub before: u64,
    /// The administrator.
    pub by: String,
    /// The reason given by the administrator.
    #[serde(deserialize_with = "present")]
    pub reason: Option<String>,
}

impl Revocation {
    /// Revokes every token that was issued up to and in this second.
    #[must_use]
    pub fn up_to(now: u64, by: String, reason: Option<String>) -> Self {
        Self { before: now.saturating_add(1), by, reason }
    }
}

impl UserState {
    /// The user's mark and revocation as operators see them; `null` where there is none.
    #[must_use]
    pub fn shown(&self) -> [Value; 2] {
        let revoked = self.revoked.as_ref().map(|Revocation { before, by, reason }| {
            json!({ "before": rfc3339_of_seconds(*before), "by": by, "reason": reason })
        });
        [self.disabled.as_ref().map(Mark::shown).unwrap_or_default(), revoked.unwrap_or_default()]
    }

    /// Whether the record is empty: the user may connect with any valid token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The revocation that applies to a token issued in this second. A token without a time of issue counts as issued
    /// before any revocation.
    #[must_use]
    pub fn revocation_of(&self, issued_at: Option<u64>) -> Option<&Revocation> {
        self.revoked.as_ref().filter(|revoked| issued_at.is_none_or(|issued_at| issued_at < revoked.before))
    }

    /// Adds a revocation. Of two revocations, the one that revokes more stays.
    pub(crate) fn revoke(&mut self, revocation: &Revocation) {
        if self.revoked.as_ref().is_none_or(|earlier| earlier.before < revocation.before) {
            self.revoked = Some(revocation.clone());
        }
    }
}

impl Record for UserState {
    const VERSION: u64 = 1;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nats::record;

    fn revocation(before: u64) -> Revocation {
        Revocation { before, by: "root".to_owned(), reason: None }
    }

    #[test]
    fn a_token_is_revoked_if_it_was_issued_before() {
        let mut state = UserState::default();
        assert_eq!(state.revocation_of(None), None);
        state.revoke(&Revocation::up_to(99, "root".to_owned(), None));
        for (issued_at, revoked) in
            [(None, true), (Some(0), true), (Some(99), true), (Some(100), false), (Some(101), false)]
        {
            assert_eq!(state.revocation_of(issued_at).is_some(), revoked, "{issued_at:?}");
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mark = Mark { since: 7, by: "root".to_owned(), reason: Some("left".to_owned()) };
        let state = UserState { disabled: Some(mark), revoked: Some(revocation(9)) };
        let json = r#"{"version":1,"disabled":{"since":7,"by":"root","reason":"left"},"revoked":{"before":9,"by":"root","reason":null}}"#;
        assert_eq!(record::encode(&state).unwrap(), json.as_bytes());
        let empty = r#"{"version":1,"disabled":null,"revoked":null}"#;
        for (json, expected) in [(json, state), (empty, UserState::default())] {
            assert_eq!(record::decode::<UserState>(json.as_bytes()).unwrap(), expected);
        }
    }

    proptest! {
        /// Every user has a separate key.
        #[test]
        fn keys_lead_back(user in "\\PC{1,40}") {
            let name = UserName::new(Tenant::parse("ops").unwrap(), user).unwrap();
            prop_assert_eq!(UserName::from_key(&name.to_key()), Some(name));
        }

        /// The order of revocations does not matter, nor does a repetition.
        #[test]
        fn revocations_only_grow(seconds in prop::collection::vec(0..9u64, 1..9)) {
            let mut state = UserState::default();
            for second in &seconds {
                state.revoke(&revocation(*second));
            }
            prop_assert_eq!(state.revoked.map(|revoked| revoked.before), seconds.iter().max().copied());
        }
    }
}
