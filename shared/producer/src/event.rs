//! An event, before it is sent.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::PublishError;
use crate::data::EventData;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Different from that of every other event of the same source. Publishing the event again with the same id, within
    /// `streams.duplicate_window`, is a repetition, which reaches nobody; another event with the same id is rejected.
    pub id: String,
    /// `<entity>.<action>`, such as `incident.created`.
    pub name: String,
    /// When it happened, RFC 3339.
    pub time: String,
    /// What it is about within the source: the `subject` of CloudEvents.
    pub subject: Option<String>,
    /// What is to be said about it.
    pub data: Value,
}

impl Event {
    /// An event that happens now, with an id of its own.
    #[must_use]
    pub fn new(name: impl Into<String>, data: Value) -> Self {
        let now = OffsetDateTime::now_utc();
        // Only years beyond 9999 cannot be written; the stream's own time stands in for what is no time.
        let time = now.format(&Rfc3339).unwrap_or_default();
        Self { id: Uuid::now_v7().to_string(), name: name.into(), time, subject: None, data }
    }

    /// The same, of typed data; fails for data that is no JSON.
    pub fn of<D: EventData>(data: &D) -> Result<Self, PublishError> {
        Ok(Self::new(D::EVENT, serde_json::to_value(data).map_err(PublishError::Data)?))
    }

    /// With this id, such as that of the record it is about, so that saying it again does not count.
    #[must_use]
    pub fn with_id(self, id: impl Into<String>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// That happened at this time, RFC 3339.
    #[must_use]
    pub fn at(self, time: impl Into<String>) -> Self {
        Self { time: time.into(), ..self }
    }

    /// About this.
    #[must_use]
    pub fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }
}
