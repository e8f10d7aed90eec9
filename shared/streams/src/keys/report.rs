//! What is shown of an API key: everything but its hash.

use serde::Serialize;
use serde_json::Value;
use tidings_model::{EventPattern, KeyId, serialize_optional_seconds};

use super::{KeyName, KeyState};

/// An API key as it is listed.
#[derive(Debug, Serialize)]
pub struct KeyReport {
    id: KeyId,
    /// Whether its record can be read; else the key is refused.
    readable: bool,
    events: Vec<EventPattern>,
    source: Option<String>,
    created: Option<Value>,
    #[serde(serialize_with = "serialize_optional_seconds")]
    expires_at: Option<u64>,
    revoked: Option<Value>,
}

impl KeyReport {
    /// Reports a key; without its record, if that cannot be read.
    #[must_use]
    pub fn new(name: &KeyName, state: Option<&KeyState>) -> Self {
        Self {
            id: name.id.clone(),
            readable: state.is_some(),
            events: state.map(|state| state.events.clone()).unwrap_or_default(),
            source: state.and_then(|state| state.source.clone()),
            created: state.map(|state| state.created.shown()),
            expires_at: state.and_then(|state| state.expires_at),
            revoked: state.and_then(|state| Some(state.revoked.as_ref()?.shown())),
        }
    }
}
