//! An event is what a producer says happened: CloudEvents 1.0 over NATS, or plain JSON.
//!
//! The subject alone names tenant, entity and action; a CloudEvent's `type` is the producer's own.

mod form;

use std::fmt;

use bytes::Bytes;
use serde_json::Value;
use time::OffsetDateTime;

use crate::timestamp::{self, TimestampError};
use crate::{Position, Tenant, headers};

/// `<entity>.<action>`, such as `incident.created`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventName {
    /// What it happened to.
    pub entity: String,
    /// What happened.
    pub action: String,
}

impl EventName {
    /// Reads `<entity>.<action>`; each part is 1 to 64 characters of `a-z A-Z 0-9 _ -`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (entity, action) = text.split_once('.')?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let is_part = |part: &str| !part.is_empty() && part.len() <= 64 && part.bytes().all(allowed);
        (is_part(entity) && is_part(action))
            .then(|| Self { entity: entity.to_owned(), action: action.to_owned() })
    }

    /// The subject on which a producer publishes it: `events.<tenant>.<entity>.<action>`.
    #[must_use]
    pub fn subject(&self, tenant: &Tenant) -> String {
        format!("events.{tenant}.{self}")
    }

    /// The subject on which a gateway publishes what one of its clients publishes, and nobody else may:
    /// `events.<tenant>.<entity>.<action>.client`.
    #[must_use]
    pub fn client_subject(&self, tenant: &Tenant) -> String {
        format!("{}{BY_CLIENT}", self.subject(tenant))
    }

    /// The subject on which a producer would publish what was published on this one.
    #[must_use]
    pub fn producers_subject(subject: &str) -> &str {
        let by_client = subject.strip_suffix(BY_CLIENT);
        // `events.<tenant>.<entity>.client` is an event whose action has that name.
        by_client.filter(|subject| subject.matches('.').count() >= 3).unwrap_or(subject)
    }
}

/// Ends the subject of what a client published.
const BY_CLIENT: &str = ".client";

/// By what an event is known if it comes again, within its tenant. What clients publish never has the identity of what a
/// producer publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity<'e> {
    /// The source, if there is one, and the id within it.
    Producer(Option<&'e str>, &'e str),
    /// The gateway's `Nats-Msg-Id` for the user's message.
    Client(&'e str),
}

impl fmt::Display for EventName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.entity, self.action)
    }
}

/// How much of a subject an error shows, in characters: all of it where it is an event's.
const LONGEST_SHOWN_SUBJECT: usize = 192;

/// An event as it lies in the stream `EVENTS`, unread.
#[derive(Debug, Clone)]
pub struct RawEvent {
    /// The subject it was published on.
    pub subject: String,
    /// All headers, in order; names compare without regard to case.
    pub headers: Vec<(String, String)>,
    /// The payload.
    pub payload: Bytes,
    /// Where it lies in `EVENTS`.
    pub position: Position,
    /// When the stream stored it.
    pub stored_at: OffsetDateTime,
}

impl RawEvent {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The id of an event that has none of its own: the one that it had when it was first tried, else the
    /// `Nats-Msg-Id`, else one made of name and position.
    #[must_use]
    pub fn own_id(&self) -> String {
        let given = self.header(headers::EVENT_ID).or_else(|| self.header(headers::MESSAGE_ID));
        given.filter(|id| !id.is_empty()).map_or_else(|| self.derived_id(), str::to_owned)
    }

    fn derived_id(&self) -> String {
        let name = self.published_on().splitn(3, '.').nth(2).unwrap_or_default();
        format!("{name}-{}", self.position)
    }

    /// Whether a gateway published it for a client.
    #[must_use]
    pub fn is_by_client(&self) -> bool {
        self.published_on().len() < self.subject.len()
    }

    /// The subject that a producer would publish it on.
    fn published_on(&self) -> &str {
        EventName::producers_subject(&self.subject)
    }

    /// The token of the subject that states the tenant; none, if it is no event's.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        let (tenant, _) = self.subject.strip_prefix("events.")?.split_once('.')?;
        Some(tenant)
    }

    /// The tenant and the name that the subject states.
    pub fn name(&self) -> Result<(Tenant, EventName), EventError> {
        let wrong = || EventError::Subject(self.subject.chars().take(LONGEST_SHOWN_SUBJECT).collect());
        let rest = self.published_on().strip_prefix("events.").ok_or_else(wrong)?;
        let (tenant, name) = rest.split_once('.').ok_or_else(wrong)?;
        let tenant = Tenant::parse(tenant).map_err(|_| wrong())?;
        Ok((tenant, EventName::parse(name).ok_or_else(wrong)?))
    }

    /// Reads the event in whichever of the three forms it came.
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
        };
        form::read(self, &mut event)?;
        event.trace_parent = event.trace_parent.filter(|text| may_be_trace_parent(text));
        let derived = self.derived_id();
        if event.id.is_empty() {
            event.id.clone_from(&derived);
        }
        event.has_own_id = event.id != derived;
        if self.is_by_client() {
            // As it was when it was first tried.
            let given = self.header(headers::EVENT_ID).or_else(|| self.header(headers::MESSAGE_ID));
            event.publication = given.map(str::to_owned);
        }
        event.check()?;
        Ok(event)
    }
}

/// What a producer says happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// Whose event it is.
    pub tenant: Tenant,
    /// What happened to what.
    pub name: EventName,
    /// The producer's id, else the `Nats-Msg-Id`, else one made of name and position.
    pub id: String,
    /// The CloudEvents `source`.
    pub source: Option<String>,
    /// The CloudEvents `subject`.
    pub subject: Option<String>,
    /// When the producer says it happened, as [`Event::moment`] writes it.
    pub time: Option<String>,
    /// When the stream stored it.
    pub stored_at: OffsetDateTime,
    /// W3C `traceparent`.
    pub trace_parent: Option<String>,
    /// Where it lies in `EVENTS`.
    pub position: Position,
    /// What the producer says about it.
    pub data: Value,
    /// Whether the producer gave the id.
    pub has_own_id: bool,
    /// The gateway's id for it, if a client published it.
    pub publication: Option<String>,
}

impl Event {
    /// By what the event is known if it comes again; nothing for one without an id of its producer's.
    #[must_use]
    pub fn identity(&self) -> Option<Identity<'_>> {
        let own = || self.has_own_id.then_some(Identity::Producer(self.source.as_deref(), &self.id));
        self.publication.as_deref().map(Identity::Client).or_else(own)
    }

    /// The longest id and the longest source, in bytes: they travel in headers and in client messages.
    pub const MAX_ID_LENGTH: usize = 256;

    fn check(&mut self) -> Result<(), EventError> {
        for name in [Some(&self.id), self.source.as_ref()].into_iter().flatten() {
            if name.len() > Self::MAX_ID_LENGTH || name.chars().any(char::is_control) {
                return Err(EventError::Id(name.chars().take(64).collect()));
            }
        }
        self.time = self.time.take().map(|time| Self::moment(&time)).transpose()?;
        Ok(())
    }

    /// The time of an event as clients receive it, RFC 3339, whatever spelling the producer has for the moment.
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

/// W3C Trace Context, 3.2.2: of version 00 it has 55 characters, later versions may append some;
/// what is none is ignored. The bound keeps a producer from making an envelope that NATS refuses.
fn may_be_trace_parent(text: &str) -> bool {
    text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Why what lies in `EVENTS` is no event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The subject has another form.
    #[error("subject {0:?} is not events.<tenant>.<entity>.<action>")]
    Subject(String),
    /// The payload is no JSON.
    #[error("the payload is not JSON")]
    Json(#[source] serde_json::Error),
    /// A CloudEvent without a required attribute.
    #[error("the CloudEvent has no `{0}`")]
    Missing(&'static str),
    /// A CloudEvents attribute of another type.
    #[error("the CloudEvent's `{0}` is not a string")]
    NotText(&'static str),
    /// A header whose percent-encoding is that of no text.
    #[error("the header `ce-{0}` is percent-encoded, but not UTF-8")]
    Encoding(&'static str),
    /// Another version of CloudEvents.
    #[error("the CloudEvent's specversion is {0:?}, expected \"1.0\"")]
    Version(String),
    /// A CloudEvent in another format.
    #[error("the CloudEvent's format is {0:?}, expected application/cloudevents+json")]
    Format(String),
    /// Several CloudEvents at once.
    #[error("the message is a batch of CloudEvents, which NATS does not provide for; publish each by itself")]
    Batch,
    /// Data in another format.
    #[error("the event's data is {0:?}, expected application/json")]
    ContentType(String),
    /// Data that is there twice.
    #[error("the CloudEvent has both `data` and `data_base64`, expected one of them")]
    TwoData,
    /// Binary data that is no base64.
    #[error("the CloudEvent's `data_base64` is not base64")]
    Base64(#[source] base64::DecodeError),
    /// Binary data that is no JSON.
    #[error("the CloudEvent's `data_base64` is not JSON")]
    Base64Json(#[source] serde_json::Error),
    /// An id or a source that cannot travel.
    #[error("event id or source {0:?} has control characters or more than {max} bytes", max = Event::MAX_ID_LENGTH)]
    Id(String),
    /// A time of another format.
    #[error("event time {0:?} is not RFC 3339, such as 2025-01-17T10:30:00Z")]
    Time(String),
    /// A time that could be several moments.
    #[error("event time {0:?} has no offset, such as Z or +02:00")]
    NoOffset(String),
}

#[cfg(test)]
mod tests;
