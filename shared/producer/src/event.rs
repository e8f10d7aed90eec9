//! Events to publish.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::PublishError;
use crate::data::EventData;

/// An event to publish.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The id, unique among the events of the source. If an event is published again with the same id within
    /// `streams.duplicate_window`, it counts as a repetition and is not delivered again. Another event with the same id
    /// is rejected.
    pub id: String,
    /// `<entity>.<action>`, such as `incident.created`.
    pub name: String,
    /// When the event happened, RFC 3339.
    pub time: String,
    /// The event's subject within the source: the `subject` of CloudEvents.
    pub subject: Option<String>,
    /// The event's data.
    pub data: Value,
}

impl Event {
    /// Creates an event that happens now, with a new id.
    #[must_use]
    pub fn new(name: impl Into<String>, data: Value) -> Self {
        let now = OffsetDateTime::now_utc();
        // Only years after 9999 cannot be formatted. The stream's time replaces an invalid time.
        let time = now.format(&Rfc3339).unwrap_or_default();
        Self { id: Uuid::now_v7().to_string(), name: name.into(), time, subject: None, data }
    }

    /// Creates an event of typed data. Fails if the data cannot be written as JSON.
    pub fn of<D: EventData>(data: &D) -> Result<Self, PublishError> {
        Ok(Self::new(D::EVENT, serde_json::to_value(data).map_err(PublishError::Data)?))
    }

    /// Sets the id, for example that of the record that the event is about, so that a repetition counts once.
    #[must_use]
    pub fn with_id(self, id: impl Into<String>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// Sets the time at which the event happened, RFC 3339.
    #[must_use]
    pub fn at(self, time: impl Into<String>) -> Self {
        Self { time: time.into(), ..self }
    }

    /// Sets the event's subject.
    #[must_use]
    pub fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }
}
