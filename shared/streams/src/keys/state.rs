//! The record of an API key. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use tidings_model::json::present;
use tidings_model::{EventPattern, KeyId, Tenant};

use crate::nats::record::Record;
use crate::users::Mark;

/// The name of an API key: its tenant and its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName {
    /// The tenant.
    pub tenant: Tenant,
    /// The id.
    pub id: KeyId,
}

impl KeyName {
    /// `<tenant>.<id>`, a key of a key-value bucket.
    pub(crate) fn to_key(&self) -> String {
        format!("{}.{}", self.tenant, self.id)
    }

    /// Parses a key made by [`KeyName::to_key`].
    pub(crate) fn from_key(key: &str) -> Option<Self> {
        let (tenant, id) = key.split_once('.')?;
        Some(Self { tenant: Tenant::parse(tenant).ok()?, id: KeyId::parse(id).ok()? })
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.tenant, self.id)
    }
}

/// The record of an API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyState {
    /// The hash of the key, hexadecimal.
    pub digest: String,
    /// Which events it may publish.
    pub events: Vec<EventPattern>,
    /// The source that these have; `None` permits every source.
    #[serde(deserialize_with = "present")]
    pub source: Option<String>,
    /// Who made it and when; the reason is what it is for.
    pub created: Mark,
    /// When it expires, in seconds since 1970-01-01T00:00:00Z; `None` means never.
    #[serde(deserialize_with = "present")]
    pub expires_at: Option<u64>,
    /// Set if it is revoked.
    #[serde(deserialize_with = "present")]
    pub revoked: Option<Mark>,
}

impl KeyState {
    /// Whether the key has expired in this second since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn has_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }
}

impl Record for KeyState {
    const VERSION: u64 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::record;

    #[test]
    fn what_is_written_is_what_is_read() {
        let mark = |reason: Option<&str>| Mark {
            since: 7,
            by: "root".to_owned(),
            reason: reason.map(str::to_owned),
        };
        let state = KeyState {
            digest: "ab".to_owned(),
            events: vec![EventPattern::parse("incident.*").unwrap()],
            source: None,
            created: mark(Some("cron")),
            expires_at: Some(9),
            revoked: Some(mark(None)),
        };
        let json = r#"{"version":1,"digest":"ab","events":["incident.*"],"source":null,"created":{"since":7,"by":"root","reason":"cron"},"expires_at":9,"revoked":{"since":7,"by":"root","reason":null}}"#;
        assert_eq!(record::encode(&state).unwrap(), json.as_bytes());
        assert_eq!(record::decode::<KeyState>(json.as_bytes()).unwrap(), state);
        assert!(state.has_expired(9) && !state.has_expired(8));
        for broken in [r#""incident.*""#, r#""revoked":"#] {
            record::decode::<KeyState>(json.replace(broken, r#""x.y.z""#).as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn names_lead_back() {
        let name =
            KeyName { tenant: Tenant::parse("ops").unwrap(), id: KeyId::parse("0123456789abcdef").unwrap() };
        assert_eq!(name.to_key(), "ops.0123456789abcdef");
        assert_eq!(KeyName::from_key(&name.to_key()), Some(name));
        for other in [
            "ops",
            "ops.",
            "ops.0123",
            "OPS.0123456789abcdef",
            "ops.0123456789ABCDEF",
            "a.b.0123456789abcdef",
        ] {
            assert_eq!(KeyName::from_key(other), None, "{other}");
        }
    }
}
