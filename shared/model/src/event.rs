//! An event is what a producer says happened: CloudEvents 1.0 over NATS, or plain JSON.
//!
//! Three forms are read, told apart as the CloudEvents NATS protocol binding 1.0 does:
//! *binary* (attributes in `ce-` headers, the payload is the data), *structured* (the payload is
//! the whole CloudEvent) and *plain* (the payload is the data and nothing else is said). The
//! subject alone names tenant, entity and action; a CloudEvent's `type` is the producer's own.

use std::fmt;

use bytes::Bytes;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Position, Tenant, headers, json};

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
}

impl fmt::Display for EventName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.entity, self.action)
    }
}

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
        let name = self.subject.splitn(3, '.').nth(2).unwrap_or_default();
        format!("{name}-{}", self.position)
    }

    /// The token of the subject that states the tenant; none, if it is no event's.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        let (tenant, _) = self.subject.strip_prefix("events.")?.split_once('.')?;
        Some(tenant)
    }

    /// The tenant and the name that the subject states.
    pub fn name(&self) -> Result<(Tenant, EventName), EventError> {
        let wrong = || EventError::Subject(self.subject.clone());
        let rest = self.subject.strip_prefix("events.").ok_or_else(wrong)?;
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
        };
        if self.header("ce-specversion").is_some() {
            self.read_binary(&mut event)?;
        } else {
            self.read_payload(&mut event)?;
        }
        event.trace_parent = event.trace_parent.filter(|text| may_be_trace_parent(text));
        if event.id.is_empty() {
            event.id = self.derived_id();
        }
        event.check()?;
        Ok(event)
    }

    fn read_binary(&self, event: &mut Event) -> Result<(), EventError> {
        let attribute = |name: &str| self.header(&format!("ce-{name}")).map(percent_decode);
        check_version(&attribute("specversion").unwrap_or_default())?;
        event.id = attribute("id").ok_or(EventError::Missing("id"))?;
        event.source = Some(attribute("source").ok_or(EventError::Missing("source"))?);
        event.subject = attribute("subject");
        event.time = attribute("time");
        event.trace_parent = event.trace_parent.take().or_else(|| attribute("traceparent"));
        check_content_type(self.header(headers::CONTENT_TYPE))?;
        event.data = self.json()?;
        Ok(())
    }

    fn read_payload(&self, event: &mut Event) -> Result<(), EventError> {
        let declared = self
            .header(headers::CONTENT_TYPE)
            .is_some_and(|value| value.starts_with("application/cloudevents"));
        match self.json()? {
            Value::Object(members) if declared || is_cloud_event(&members) => read_structured(members, event),
            _ if declared => Err(EventError::Missing("specversion")),
            data => {
                event.data = data;
                Ok(())
            }
        }
    }

    fn json(&self) -> Result<Value, EventError> {
        json::parse(&self.payload).map_err(EventError::Json)
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
    /// When the producer says it happened: RFC 3339, in the producer's own spelling.
    pub time: Option<String>,
    /// When the stream stored it.
    pub stored_at: OffsetDateTime,
    /// W3C `traceparent`.
    pub trace_parent: Option<String>,
    /// Where it lies in `EVENTS`.
    pub position: Position,
    /// What the producer says about it.
    pub data: Value,
}

impl Event {
    /// The longest id and the longest source, in bytes: they travel in headers and in client messages.
    pub const MAX_ID_LENGTH: usize = 256;

    fn check(&self) -> Result<(), EventError> {
        for name in [Some(&self.id), self.source.as_ref()].into_iter().flatten() {
            if name.len() > Self::MAX_ID_LENGTH || name.chars().any(char::is_control) {
                return Err(EventError::Id(name.chars().take(64).collect()));
            }
        }
        match &self.time {
            Some(time) if OffsetDateTime::parse(time, &Rfc3339).is_err() => {
                Err(EventError::Time(time.chars().take(64).collect()))
            }
            _ => Ok(()),
        }
    }
}

/// W3C Trace Context, 3.2.2: of version 00 it has 55 characters, later versions may append some;
/// what is none is ignored. The bound keeps a producer from making an envelope that NATS refuses.
fn may_be_trace_parent(text: &str) -> bool {
    text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_cloud_event(members: &Map<String, Value>) -> bool {
    ["specversion", "id", "source", "type"]
        .iter()
        .all(|name| members.get(*name).is_some_and(Value::is_string))
}

fn read_structured(mut members: Map<String, Value>, event: &mut Event) -> Result<(), EventError> {
    let mut attribute = |name: &'static str| match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(EventError::NotText(name)),
    };
    check_version(&attribute("specversion")?.unwrap_or_default())?;
    event.id = attribute("id")?.ok_or(EventError::Missing("id"))?;
    event.source = Some(attribute("source")?.ok_or(EventError::Missing("source"))?);
    event.subject = attribute("subject")?;
    event.time = attribute("time")?;
    event.trace_parent = event.trace_parent.take().or(attribute("traceparent")?);
    check_content_type(attribute("datacontenttype")?.as_deref())?;
    if members.contains_key("data_base64") {
        return Err(EventError::Binary);
    }
    event.data = members.remove("data").unwrap_or(Value::Null);
    Ok(())
}

fn check_version(version: &str) -> Result<(), EventError> {
    if version == "1.0" { Ok(()) } else { Err(EventError::Version(version.chars().take(64).collect())) }
}

fn check_content_type(content_type: Option<&str>) -> Result<(), EventError> {
    let Some(given) = content_type else { return Ok(()) };
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence == "text/json" || essence.ends_with("+json") {
        Ok(())
    } else {
        Err(EventError::ContentType(given.chars().take(64).collect()))
    }
}

/// Undoes the percent-encoding of header values (CloudEvents HTTP and NATS bindings, 3.1.3.2);
/// what is no valid encoding stays as it is.
fn percent_decode(value: &str) -> String {
    if !value.contains('%') {
        return value.to_owned();
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let decoded = (byte == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| value.to_owned())
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
    /// Another version of CloudEvents.
    #[error("the CloudEvent's specversion is {0:?}, expected \"1.0\"")]
    Version(String),
    /// Data in another format.
    #[error("the event's data is {0:?}, expected application/json")]
    ContentType(String),
    /// Binary data.
    #[error("the CloudEvent carries data_base64, expected JSON in `data`")]
    Binary,
    /// An id or a source that cannot travel.
    #[error("event id or source {0:?} has control characters or more than {max} bytes", max = Event::MAX_ID_LENGTH)]
    Id(String),
    /// A time of another format.
    #[error("event time {0:?} is not RFC 3339, such as 2025-01-17T10:30:00Z")]
    Time(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(subject: &str, headers: &[(&str, &str)], payload: &str) -> RawEvent {
        RawEvent {
            subject: subject.to_owned(),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            position: "5-7".parse().unwrap(),
            stored_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    const SUBJECT: &str = "events.ops.incident.created";

    #[test]
    fn plain_json_is_the_data() {
        let event = raw(SUBJECT, &[], r#"{"id":"inc-1","value":99.50}"#).read().unwrap();
        assert_eq!((event.tenant.as_str(), event.name.to_string()), ("ops", "incident.created".into()));
        assert_eq!(event.id, "incident.created-5-7");
        assert_eq!(event.time, None);
        assert_eq!(event.data.to_string(), r#"{"id":"inc-1","value":99.50}"#);
        let named = raw(SUBJECT, &[("nats-msg-id", "m-1")], "{}").read().unwrap();
        assert_eq!(named.id, "m-1");
    }

    #[test]
    fn both_cloud_event_modes_say_the_same() {
        let binary = raw(
            SUBJECT,
            &[
                ("ce-specversion", "1.0"),
                ("ce-id", "e%201"),
                ("ce-source", "/ops"),
                ("ce-type", "x"),
                ("ce-time", "2025-01-17T10:30:00Z"),
                ("Content-Type", "application/json; charset=utf-8"),
            ],
            r#"{"a":1}"#,
        );
        let whole = r#"{"specversion":"1.0","id":"e 1","source":"/ops","type":"x",
            "time":"2025-01-17T10:30:00Z","data":{"a":1}}"#;
        let declared = raw(SUBJECT, &[("content-type", "application/cloudevents+json")], whole);
        for event in [binary, declared, raw(SUBJECT, &[], whole)] {
            let event = event.read().unwrap();
            assert_eq!(event.id, "e 1");
            assert_eq!(event.source.as_deref(), Some("/ops"));
            assert_eq!(event.time.as_deref(), Some("2025-01-17T10:30:00Z"));
            assert_eq!(event.data.to_string(), r#"{"a":1}"#);
        }
    }

    #[test]
    fn what_is_no_event_is_named() {
        let cloud =
            |member: &str| format!(r#"{{"specversion":"1.0","id":"e","source":"s","type":"t",{member}}}"#);
        for (event, expected) in [
            (raw("events.ops.incident", &[], "{}"), "is not events.<tenant>"),
            (raw("events.ops.a.b.c", &[], "{}"), "is not events.<tenant>"),
            (raw("events.OPS.a.b", &[], "{}"), "is not events.<tenant>"),
            (raw(SUBJECT, &[], "{"), "not JSON"),
            (raw(SUBJECT, &[("ce-specversion", "0.3")], "{}"), "specversion is \"0.3\""),
            (raw(SUBJECT, &[("ce-specversion", "1.0")], "{}"), "no `id`"),
            (raw(SUBJECT, &[], &cloud(r#""time":"yesterday""#)), "not RFC 3339"),
            (raw(SUBJECT, &[], &cloud(r#""time":5"#)), "`time` is not a string"),
            (raw(SUBJECT, &[], &cloud(r#""data_base64":"AA==""#)), "data_base64"),
            (raw(SUBJECT, &[], &cloud(r#""datacontenttype":"text/xml""#)), "text/xml"),
            (raw(SUBJECT, &[("Nats-Msg-Id", "a\tb")], "{}"), "control characters"),
            (raw(SUBJECT, &[("Content-Type", "application/cloudevents+json")], "[]"), "specversion"),
        ] {
            let error = event.read().unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        }
    }
}
