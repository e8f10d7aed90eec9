//! Events to publish.

use std::time::Duration;

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
    /// When the event is to be delivered, RFC 3339; at once if absent.
    pub deliver_at: Option<String>,
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
        Self {
            id: Uuid::now_v7().to_string(),
            name: name.into(),
            time,
            subject: None,
            deliver_at: None,
            data,
        }
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

    /// Has the event delivered at this time, at most 366 days ahead; at once if it has passed. Until then, an event with the
    /// same name and id replaces it, and [`crate::Producer::cancel`] cancels it.
    #[must_use]
    pub fn deliver_at(self, time: OffsetDateTime) -> Self {
        // Only years after 9999 cannot be formatted; the empty text is refused like any other time that far ahead.
        Self { deliver_at: Some(time.format(&Rfc3339).unwrap_or_default()), ..self }
    }

    /// Has the event delivered after this time, as [`Event::deliver_at`] does.
    #[must_use]
    pub fn deliver_after(self, delay: Duration) -> Self {
        let now = OffsetDateTime::now_utc();
        let time = time::Duration::try_from(delay).ok().and_then(|delay| now.checked_add(delay));
        match time {
            Some(time) => self.deliver_at(time),
            None => Self { deliver_at: Some(String::new()), ..self },
        }
    }

    /// Creates what cancels the event of this name and id, if it has not been delivered yet.
    #[must_use]
    pub fn cancellation(name: impl Into<String>, id: impl Into<String>) -> Self {
        Self { deliver_at: Some("never".to_owned()), ..Self::new(name, Value::Null).with_id(id) }
    }

    /// Sets the event's subject.
    #[must_use]
    pub fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }
}
