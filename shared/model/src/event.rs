//! Events: facts that producers publish, as CloudEvents 1.0 over NATS or as plain JSON.
//!
//! Only the subject determines tenant, entity and action. The `type` of a CloudEvent is the producer's own.

mod form;

use std::fmt;

use bytes::Bytes;
use serde_json::Value;
use time::OffsetDateTime;

pub use self::form::{is_json, media_type};
use crate::delivery::Delivery;
use crate::timestamp::{self, TimestampError};
use crate::{Position, SourcePosition, Tenant, headers, number, rfc3339, source};

/// `<entity>.<action>`, such as `incident.created`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventName {
    /// The entity that it happened to.
    pub entity: String,
    /// The action that happened.
    pub action: String,
}

impl EventName {
    /// Parses `<entity>.<action>`. Each part is 1 to 64 characters of `a-z A-Z 0-9 _ -`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (entity, action) = text.split_once('.')?;
        (is_part(entity) && is_part(action))
            .then(|| Self { entity: entity.to_owned(), action: action.to_owned() })
    }

    /// The subject on which producers publish the event: `events.<tenant>.<entity>.<action>`.
    #[must_use]
    pub fn subject(&self, tenant: &Tenant) -> String {
        format!("events.{tenant}.{self}")
    }

    /// The subject on which only gateways publish, for their clients: `events.<tenant>.<entity>.<action>.client`.
    #[must_use]
    pub fn client_subject(&self, tenant: &Tenant) -> String {
        format!("{}{BY_CLIENT}", self.subject(tenant))
    }

    /// Returns the subject that a producer would use for an event of this subject.
    #[must_use]
    pub fn producers_subject(subject: &str) -> &str {
        by_client(subject).or_else(|| source::published_on(subject)).unwrap_or(subject)
    }
}

/// Whether this is an entity or an action.
pub(crate) fn is_part(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !part.is_empty() && part.len() <= 64 && part.bytes().all(allowed)
}

/// The end of the subject of a client publication.
const BY_CLIENT: &str = ".client";

/// The subject that a producer would use for a client publication.
fn by_client(subject: &str) -> Option<&str> {
    let published_on = subject.strip_suffix(BY_CLIENT)?;
    // `events.<tenant>.<entity>.client` is an event with the action `client`.
    (published_on.matches('.').count() == 3).then_some(published_on)
}

/// The identity of an event within its tenant. A repetition has the same identity. A client publication never has the
/// identity of a producer's event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity<'e> {
    /// The source, if any, and the id.
    Producer(Option<&'e str>, &'e str),
    /// The gateway's `Nats-Msg-Id` for the client's message.
    Client(&'e str),
    /// The place of a copy's message in its source. Ids that a team gave to messages without a `source` need only differ
    /// within the window of its own stream, while many of those are copied at once.
    Copy(&'e str),
}

impl fmt::Display for EventName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.entity, self.action)
    }
}

/// How much of a subject an error shows, in characters. A valid subject is shown whole.
const LONGEST_SHOWN_SUBJECT: usize = 192;

/// A stored message of `EVENTS`, not yet parsed.
#[derive(Debug, Clone)]
pub struct RawEvent {
    /// The subject it was published on.
    pub subject: String,
    /// All headers, in order. Names ignore case.
    pub headers: Vec<(String, String)>,
    /// The payload.
    pub payload: Bytes,
    /// Its position in `EVENTS`.
    pub position: Position,
    /// When the stream stored it.
    pub stored_at: OffsetDateTime,
}

impl RawEvent {
    /// Returns the first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the id of an event whose producer gave none: the id of its first attempt, else the `Nats-Msg-Id`, else
    /// an id made of name and position.
    #[must_use]
    pub fn own_id(&self) -> String {
        let given = self.header(headers::EVENT_ID).or_else(|| self.header(headers::MESSAGE_ID));
        given.filter(|id| !id.is_empty()).map_or_else(|| self.derived_id(), str::to_owned)
    }

    fn derived_id(&self) -> String {
        let name = self.published_on().splitn(3, '.').nth(2).unwrap_or_default();
        format!("{name}-{}", self.position)
    }

    /// Returns whether a gateway published it for a client.
    #[must_use]
    pub fn is_by_client(&self) -> bool {
        by_client(&self.subject).is_some()
    }

    /// The subject that a producer would use.
    fn published_on(&self) -> &str {
        EventName::producers_subject(&self.subject)
    }

    /// Returns the subject's token for the tenant, or `None` if it is not the subject of an event.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        let (tenant, _) = self.subject.strip_prefix("events.")?.split_once('.')?;
        Some(tenant)
    }

    /// Returns the tenant and the name in the subject.
    pub fn name(&self) -> Result<(Tenant, EventName), EventError> {
        let wrong = || EventError::Subject(self.subject.chars().take(LONGEST_SHOWN_SUBJECT).collect());
        let rest = self.published_on().strip_prefix("events.").ok_or_else(wrong)?;
        let (tenant, name) = rest.split_once('.').ok_or_else(wrong)?;
        let tenant = Tenant::parse(tenant).map_err(|_| wrong())?;
        Ok((tenant, EventName::parse(name).ok_or_else(wrong)?))
    }

    /// Returns the place in its source, if it is a copy.
    #[must_use]
    pub fn copied_from(&self) -> Option<SourcePosition> {
        source::source_of(&self.subject)?;
        self.header(headers::SOURCE_POSITION)?.parse().ok()
    }

    /// Returns why it has no name, if it is a copy of a message without one.
    #[must_use]
    pub fn unmapped(&self) -> Option<&str> {
        let is_unnamed = source::is_unnamed(&self.subject);
        is_unnamed.then(|| {
            self.header(headers::UNMAPPED).unwrap_or("the message of the source has no event's name")
        })
    }

    /// Returns the `type` of a CloudEvent, or `None` for plain JSON.
    pub fn declared_type(&self) -> Result<Option<String>, EventError> {
        form::declared_type(self)
    }

    /// Parses the event in any of the three forms.
    pub fn read(&self) -> Result<Event, EventError> {
        let (tenant, name) = self.name()?;
        let mut event = Event {
            tenant,
            name,
            id: self.own_id(),
            source: None,
            subject: None,
            time: None,
            stored_at: self.stored_at,
            trace_parent: self.header(headers::TRACE_PARENT).map(str::to_owned),
            position: self.position,
            data: Value::Null,
            has_own_id: true,
            publication: None,
            copied_from: None,
            delivery: None,
            scheduled: self.header(headers::SCHEDULED).and_then(|position| position.parse().ok()),
        };
        let delivery = form::read(self, &mut event)?;
        if event.scheduled.is_none() && !self.is_by_client() {
            event.delivery = Delivery::of(self, delivery)?;
        }
        if let Some(place) = self.copied_from() {
            // What a team's stream has stored long ago has not happened just now.
            event.time.get_or_insert_with(|| rfc3339(place.stored_at));
            event.copied_from = Some(place.to_string());
        }
        event.trace_parent = event.trace_parent.filter(|text| may_be_trace_parent(text));
        let derived = self.derived_id();
        if event.id.is_empty() {
            event.id.clone_from(&derived);
        }
        event.has_own_id = event.id != derived;
        if self.is_by_client() {
            // The id of the first attempt.
            let given = self.header(headers::EVENT_ID).or_else(|| self.header(headers::MESSAGE_ID));
            event.publication = given.map(str::to_owned);
        }
        event.check()?;
        Ok(event)
    }
}

/// A parsed event.
#[derive(Debug, Clone)]
pub struct Event {
    /// The tenant.
    pub tenant: Tenant,
    /// The name.
    pub name: EventName,
    /// The producer's id, else the `Nats-Msg-Id`, else an id made of name and position.
    pub id: String,
    /// The CloudEvents `source`.
    pub source: Option<String>,
    /// The CloudEvents `subject`.
    pub subject: Option<String>,
    /// When the event happened, by the producer, as [`Event::moment`] formats it.
    pub time: Option<String>,
    /// When the stream stored it.
    pub stored_at: OffsetDateTime,
    /// W3C `traceparent`.
    pub trace_parent: Option<String>,
    /// Its position in `EVENTS`.
    pub position: Position,
    /// The event's data.
    pub data: Value,
    /// Whether the producer gave the id.
    pub has_own_id: bool,
    /// The gateway's id, if a client published the event.
    pub publication: Option<String>,
    /// The place of its message in the source, if it is a copy.
    pub copied_from: Option<String>,
    /// When it is to be delivered; `None` for at once.
    pub delivery: Option<Delivery>,
    /// The position of the event that scheduled this one, if it has waited until it was due.
    pub scheduled: Option<Position>,
}

impl Event {
    /// The identity by which a repetition is recognised. `None` if the producer gave no id.
    #[must_use]
    pub fn identity(&self) -> Option<Identity<'_>> {
        let own = || self.has_own_id.then_some(Identity::Producer(self.source.as_deref(), &self.id));
        let copy = self.copied_from.as_deref().filter(|_| self.source.is_none());
        self.publication.as_deref().map(Identity::Client).or(copy.map(Identity::Copy)).or_else(own)
    }

    /// Returns whether two events have the same content: name, subject and data. Two events of one identity with other
    /// content are a mistake of their producer.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.name == other.name && self.subject == other.subject && number::is_same(&self.data, &other.data)
    }

    /// The longest id and the longest source, in bytes. Both are sent in headers and in messages to clients.
    pub const MAX_ID_LENGTH: usize = 256;

    /// Returns whether an event can have this id, or this source.
    #[must_use]
    pub fn can_be_named(name: &str) -> bool {
        name.len() <= Self::MAX_ID_LENGTH && !name.chars().any(char::is_control)
    }

    fn check(&mut self) -> Result<(), EventError> {
        for name in [Some(&self.id), self.source.as_ref()].into_iter().flatten() {
            if !Self::can_be_named(name) {
                return Err(EventError::Id(name.chars().take(64).collect()));
            }
        }
        self.time = self.time.take().map(|time| Self::moment(&time)).transpose()?;
        Ok(())
    }

    /// Formats an event's time for clients: RFC 3339, whatever spelling the producer uses.
    pub fn moment(time: &str) -> Result<String, EventError> {
        timestamp::normalized(time).map_err(|error| {
            let time = time.chars().take(64).collect();
            match error {
                TimestampError::NoTime => EventError::Time(time),
                TimestampError::NoOffset => EventError::NoOffset(time),
            }
        })
    }
}

/// Returns whether this may be a `traceparent` (W3C Trace Context, 3.2.2): version 00 has 55 characters, later versions
/// may append some. Other values are ignored. The bound prevents an envelope that NATS refuses.
fn may_be_trace_parent(text: &str) -> bool {
    text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Why a message of `EVENTS` is not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The subject has another form.
    #[error("subject {0:?} is not events.<tenant>.<entity>.<action>")]
    Subject(String),
    /// The payload is not JSON.
    #[error("the payload is not JSON")]
    Json(#[source] serde_json::Error),
    /// A CloudEvent lacks a required attribute.
    #[error("the CloudEvent has no `{0}`")]
    Missing(&'static str),
    /// A CloudEvents attribute has another type.
    #[error("the CloudEvent's `{0}` is not a string")]
    NotText(&'static str),
    /// A percent-encoded header is not UTF-8.
    #[error("the header `ce-{0}` is percent-encoded, but not UTF-8")]
    Encoding(&'static str),
    /// The version of CloudEvents is not supported.
    #[error("the CloudEvent's specversion is {0:?}, expected \"1.0\"")]
    Version(String),
    /// The format of the CloudEvent is not supported.
    #[error("the CloudEvent's format is {0:?}, expected application/cloudevents+json")]
    Format(String),
    /// A batch of CloudEvents.
    #[error("the message is a batch of CloudEvents, which NATS does not provide for; publish each by itself")]
    Batch,
    /// The format of the data is not supported.
    #[error("the event's data is {0:?}, expected application/json")]
    ContentType(String),
    /// The data is given twice.
    #[error("the CloudEvent has both `data` and `data_base64`, expected one of them")]
    TwoData,
    /// Binary data is not base64.
    #[error("the CloudEvent's `data_base64` is not base64")]
    Base64(#[source] base64::DecodeError),
    /// Binary data is not JSON.
    #[error("the CloudEvent's `data_base64` is not JSON")]
    Base64Json(#[source] serde_json::Error),
    /// An id or a source is too long or has control characters.
    #[error("event id or source {0:?} has control characters or more than {max} bytes", max = Event::MAX_ID_LENGTH)]
    Id(String),
    /// A time is not RFC 3339.
    #[error("event time {0:?} is not RFC 3339, such as 2025-01-17T10:30:00Z")]
    Time(String),
    /// A delivery time is not one.
    #[error(
        "delivery time {0:?} is not RFC 3339 such as 2025-01-17T10:30:00Z, at most 366 days ahead, nor \"never\""
    )]
    DeliverAt(String),
    /// A delay is not one.
    #[error("delay {0:?} is not a span of at most 366 days, such as 90s or 1h")]
    Delay(String),
    /// A delivery time and a delay.
    #[error("the event has both a time and a delay of its delivery, expected one of them")]
    TwoTimes,
    /// A time has no offset.
    #[error("event time {0:?} has no offset, such as Z or +02:00")]
    NoOffset(String),
}

#[cfg(test)]
mod tests;
