//! A rejected event as stored in `REJECTED`.

use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use tidings_model::{Attempts, EventName, Position, headers, serialize_time};
use time::OffsetDateTime;

use super::is_reserved;
use crate::nats::all_headers;

/// An event that could not be projected, and why.
#[derive(Debug, Clone, Serialize)]
pub struct RejectedEvent {
    /// The position of the event in `EVENTS` when it was first rejected; it identifies the rejection.
    #[serde(serialize_with = "as_text")]
    pub position: Position,
    /// The subject that the event was published on.
    pub subject: String,
    /// The event's id.
    pub id: String,
    /// The reason, as a stable word.
    pub reason: String,
    /// The reason, as a text.
    pub text: String,
    /// The JSON pointer (RFC 6901) of the refused place, if there is one.
    pub pointer: Option<String>,
    /// The number of attempts.
    pub tries: u32,
    /// When the event was first stored.
    #[serde(serialize_with = "serialize_time")]
    pub first_seen: OffsetDateTime,
    /// When it was last rejected.
    #[serde(serialize_with = "serialize_time")]
    pub last_seen: OffsetDateTime,
    /// How many bytes of the event were omitted because it could not be stored completely.
    pub omitted_bytes: u64,
    /// The event's own headers.
    pub headers: Vec<(String, String)>,
    /// The event's payload; empty in a listing.
    #[serde(skip)]
    pub payload: Bytes,
    /// The sequence in `REJECTED`.
    #[serde(skip)]
    pub(super) revision: u64,
}

fn as_text<S: serde::Serializer>(position: &Position, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(position)
}

impl RejectedEvent {
    /// `None` for a message that no projector wrote.
    pub(super) fn read(
        map: &HeaderMap,
        payload: Bytes,
        revision: u64,
        last_seen: OffsetDateTime,
    ) -> Option<Self> {
        let text = |name: &str| map.get(name).map(HeaderValue::as_str);
        let owned = |name: &str| text(name).unwrap_or_default().to_owned();
        let attempts = Attempts::before(text)?;
        let mut own = all_headers(map);
        own.retain(|(name, _)| !is_reserved(name));
        Some(Self {
            position: attempts.first,
            subject: text(headers::EVENT_SUBJECT)?.to_owned(),
            id: owned(headers::EVENT_ID),
            reason: owned(headers::REASON),
            text: owned(headers::REASON_TEXT),
            pointer: text(headers::REASON_POINTER).map(str::to_owned),
            tries: attempts.tries,
            first_seen: attempts.first_seen,
            last_seen,
            omitted_bytes: text(headers::OMITTED_BYTES).and_then(|bytes| bytes.parse().ok()).unwrap_or(0),
            headers: own,
            payload,
            revision,
        })
    }

    /// `<entity>.<action>`, or the rest of a subject without them.
    #[must_use]
    pub fn event(&self) -> &str {
        let subject = EventName::producers_subject(&self.subject);
        subject.splitn(3, '.').nth(2).unwrap_or(subject)
    }

    /// The rejection with its payload: as JSON if it parses, else as text.
    pub fn whole(&self) -> Result<Value, serde_json::Error> {
        let payload = tidings_model::json::parse(&self.payload)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&self.payload)));
        let mut whole = serde_json::to_value(self)?;
        if let Value::Object(members) = &mut whole {
            members.insert("payload".to_owned(), payload);
        }
        Ok(whole)
    }

    pub(super) fn attempts(&self) -> Attempts {
        Attempts { first: self.position, first_seen: self.first_seen, tries: self.tries }
    }
}
