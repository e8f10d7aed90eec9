//! When an event is to be delivered: at once, later, or not any more.
//!
//! An event that says when waits in the stream `SCHEDULED`, under a subject made of what identifies it: tenant, name, source
//! and id. So another event with the same name, source and id replaces or cancels it, and nobody else does: who may publish
//! an event may schedule, replace and cancel it. When it is due, JetStream stores it on a second subject, from which
//! `EVENTS` takes it, and purges the subject on which it waited. Therefore that one ends in the event's position: what has
//! replaced an event in that moment waits on a subject of its own, and stays.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::subject::{self, Token};
use crate::{CloudEvent, Epoch, Event, EventError, EventName, Position, RawEvent, Tenant, headers};

/// Cancels an event that waits, in place of a time.
const NEVER: &str = "never";

/// When an event that is not delivered at once is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// At this time; at once if it has passed.
    At(OffsetDateTime),
    /// Never: the event that waits under the same name, source and id is cancelled.
    Never,
}

/// What the attributes of a CloudEvent say about its delivery.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeliveryAttributes {
    pub(crate) deliver_at: Option<String>,
    pub(crate) delay: Option<String>,
}

impl Delivery {
    /// How far ahead an event may be scheduled.
    pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    /// Returns the delivery that the headers of an event say, else its attributes. A delay counts from the time at which the
    /// event was stored.
    pub(crate) fn of(raw: &RawEvent, attributes: DeliveryAttributes) -> Result<Option<Self>, EventError> {
        let header = |name| raw.header(name).map(str::to_owned);
        let (at, delay) = (header(headers::DELIVER_AT), header(headers::DELAY));
        let DeliveryAttributes { deliver_at, delay: delayed } = attributes;
        let (at, delay) = if at.is_some() || delay.is_some() { (at, delay) } else { (deliver_at, delayed) };
        match (at.as_deref().map(str::trim), delay.as_deref().map(str::trim)) {
            (None, None) => Ok(None),
            (Some(NEVER), None) => Ok(Some(Self::Never)),
            (Some(at), None) => Self::at(at, raw.stored_at).map(Some),
            (None, Some(delay)) => Self::after(delay, raw.stored_at).map(Some),
            (Some(_), Some(_)) => Err(EventError::TwoTimes),
        }
    }

    fn at(text: &str, now: OffsetDateTime) -> Result<Self, EventError> {
        let wrong = || EventError::DeliverAt(text.chars().take(64).collect());
        let at = Event::moment(text).ok().and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
        at.filter(|at| *at - now <= Self::LONGEST).map(Self::At).ok_or_else(wrong)
    }

    fn after(text: &str, now: OffsetDateTime) -> Result<Self, EventError> {
        let wrong = || EventError::Delay(text.chars().take(64).collect());
        let delay = humantime::parse_duration(text).ok().filter(|delay| *delay <= Self::LONGEST);
        Ok(Self::At(now + delay.ok_or_else(wrong)?))
    }

    /// Returns the event that cancels the one that waits under this name, source and id.
    #[must_use]
    pub fn cancellation(
        tenant: &Tenant,
        name: &EventName,
        source: Option<&str>,
        id: &str,
        now: OffsetDateTime,
    ) -> RawEvent {
        let time = now.format(&Rfc3339).unwrap_or_default();
        let (headers, payload) = if let Some(source) = source {
            let (data, deliver_at) = (Value::Null, Some(NEVER));
            let event = CloudEvent { id, source, name, time: &time, subject: None, deliver_at, data };
            let kind = (headers::CONTENT_TYPE.to_owned(), CloudEvent::CONTENT_TYPE.to_owned());
            (vec![kind], event.into_json())
        } else {
            let headers = [(headers::EVENT_ID, id), (headers::DELIVER_AT, NEVER)];
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
            (headers.into(), "null".to_owned())
        };
        let position = Position { epoch: Epoch(0), sequence: 0 };
        let payload = Bytes::from(payload);
        RawEvent { subject: name.subject(tenant), headers, payload, position, stored_at: now }
    }
}

/// The root of the subjects in `SCHEDULED`.
const ROOT: &str = "scheduled";

/// The last token of the subject on which an event waits without its position, as earlier versions wrote it, and the token
/// before the position otherwise.
const WAITING: &str = "at";
/// The last token of the subject on which an event lies when it is due.
const DUE: &str = "due";

/// The subjects of one event in `SCHEDULED`. They begin with `scheduled.<tenant>.<entity>.<action>.<source>.<id>` and end in:
///
/// | end | what lies there |
/// | --- | --- |
/// | `at.<position>` | what the event at this position has said: the event while it waits, or that one is cancelled |
/// | `at.<position>.settled` | that the event that waited there was due already |
/// | `due` | each event that was due |
/// | `at` | an event that an earlier version has scheduled |
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScheduleSubject(String);

impl ScheduleSubject {
    /// All subjects in the stream.
    pub const ALL: &str = "scheduled.>";
    /// The subjects of all events that are due.
    pub const ALL_DUE: &str = "scheduled.*.*.*.*.*.due";
    /// As what `EVENTS` takes them, by NATS's subject mapping.
    pub const DUE_AS_EVENT: &str = "events.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}";

    /// The subjects of this event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let Event { tenant, name, source, id, .. } = event;
        Self(format!("{ROOT}.{tenant}.{name}.{}.{}", Token(source.as_deref()), Token(Some(id))))
    }

    /// Where the event waits that is scheduled by the one at this position, or lies that it is cancelled by that.
    #[must_use]
    pub fn waiting(&self, by: Position) -> String {
        format!("{}.{WAITING}.{by}", self.0)
    }

    /// Where it lies that the event that waited by this position was due already.
    #[must_use]
    pub fn settled(&self, by: Position) -> String {
        format!("{}.{WAITING}.{by}.settled", self.0)
    }

    /// What was said by events at any position, for a query.
    #[must_use]
    pub fn any_waiting(&self) -> String {
        format!("{}.{WAITING}.>", self.0)
    }

    /// Where an earlier version let the event wait.
    #[must_use]
    pub fn waiting_without_position(&self) -> String {
        format!("{}.{WAITING}", self.0)
    }

    /// Where the event lies when it is due.
    #[must_use]
    pub fn due(&self) -> String {
        format!("{}.{DUE}", self.0)
    }

    /// All of them, for a query.
    #[must_use]
    pub fn any(&self) -> String {
        format!("{}.>", self.0)
    }

    /// The subjects of a tenant's events that wait.
    #[must_use]
    pub fn all_waiting(tenant: &Tenant) -> [String; 2] {
        ["", ".*"].map(|position| format!("{ROOT}.{tenant}.*.*.*.*.{WAITING}{position}"))
    }

    /// Returns name, source and id of the event that waits on a subject. Returns `None` for another subject.
    #[must_use]
    pub fn parse_waiting(subject: &str) -> Option<(EventName, Option<String>, String)> {
        let tokens: Vec<_> = subject.split('.').collect();
        let (&[ROOT, _, entity, action, source, id, WAITING]
        | &[ROOT, _, entity, action, source, id, WAITING, _]) = tokens.as_slice()
        else {
            return None;
        };
        let source = if source == subject::ABSENT { None } else { Some(subject::decode(source)?) };
        Some((EventName::parse(&format!("{entity}.{action}"))?, source, subject::decode(id)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = headers::DELIVER_AT;
    const DELAY: &str = headers::DELAY;

    fn raw(headers: &[(&str, &str)], payload: &str) -> RawEvent {
        RawEvent {
            subject: "events.ops.note.added".to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            position: "5-7".parse().unwrap(),
            stored_at: OffsetDateTime::from_unix_timestamp(1_000_000_000).unwrap(),
        }
    }

    fn seconds(raw: &RawEvent) -> Result<Option<i64>, String> {
        match raw.read().map_err(|error| error.to_string())?.delivery {
            None => Ok(None),
            Some(Delivery::At(at)) => Ok(Some(at.unix_timestamp() - 1_000_000_000)),
            Some(Delivery::Never) => Ok(Some(i64::MAX)),
        }
    }

    #[test]
    fn each_form_says_when() {
        let structured = |more: &str| {
            raw(
                &[],
                &format!(r#"{{"specversion":"1.0","id":"e","source":"s","type":"t","data":{{}}{more}}}"#),
            )
        };
        let binary = |name: &str, value: &str| {
            let own = [("ce-specversion", "1.0"), ("ce-id", "e"), ("ce-source", "s"), ("ce-type", "t")];
            raw(&[&own[..], &[(name, value)]].concat(), "{}")
        };
        let cases = [
            (raw(&[], "{}"), None),
            (raw(&[(AT, "2001-09-09T01:46:50Z")], "{}"), Some(10)),
            (raw(&[("tidings-deliver-at", "2001-09-09T02:46:50+01:00")], "{}"), Some(10)),
            (raw(&[(AT, "2001-09-09T01:46:30Z")], "{}"), Some(-10)),
            (raw(&[(DELAY, "1m 30s")], "{}"), Some(90)),
            (raw(&[(AT, "never")], "{}"), Some(i64::MAX)),
            (structured(r#","deliverat":"2001-09-09T01:46:50Z""#), Some(10)),
            (structured(r#","delay":"1h""#), Some(3600)),
            (structured(""), None),
            (binary("ce-deliverat", "2001-09-09T01:46:50Z"), Some(10)),
            (binary("ce-delay", "5s"), Some(5)),
            (binary(AT, "never"), Some(i64::MAX)),
        ];
        for (raw, expected) in cases {
            assert_eq!(seconds(&raw), Ok(expected), "{raw:?}");
        }
        let mut both = structured(r#","delay":"1h""#);
        both.headers.push((AT.to_owned(), "never".to_owned()));
        assert_eq!(seconds(&both), Ok(Some(i64::MAX)), "a header counts more than an attribute");
        both.headers.push((headers::SCHEDULED.to_owned(), "5-6".to_owned()));
        assert_eq!(seconds(&both), Ok(None), "what is due is not scheduled again");
        assert_eq!(both.read().unwrap().scheduled, Some("5-6".parse().unwrap()));
        let mut by_client = raw(&[(DELAY, "1h")], "{}");
        by_client.subject.push_str(".client");
        assert_eq!(seconds(&by_client), Ok(None));
    }

    #[test]
    fn what_is_no_time_is_named() {
        for (name, value, expected) in [
            (AT, "tomorrow", "delivery time \"tomorrow\""),
            (AT, "2001-09-09T01:46:50", "delivery time"),
            (AT, "2003-09-09T01:46:50Z", "at most 366 days"),
            (AT, "9999-12-31T23:59:59Z", "at most 366 days"),
            (DELAY, "soon", "delay \"soon\""),
            (DELAY, "-1s", "delay"),
            (DELAY, "367days", "at most 366 days"),
        ] {
            let error = seconds(&raw(&[(name, value)], "{}")).unwrap_err();
            assert!(error.contains(expected), "{value}: {error}");
        }
        let error = seconds(&raw(&[(AT, "never"), (DELAY, "1s")], "{}")).unwrap_err();
        assert!(error.contains("both a time and a delay"), "{error}");
    }

    #[test]
    fn subjects_tell_events_apart_and_lead_back() {
        let tenant = Tenant::parse("ops").unwrap();
        let name = EventName::parse("note.added").unwrap();
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut seen = std::collections::HashSet::new();
        for (source, id) in [
            (None, "1"),
            (None, "-"),
            (Some("-"), "1"),
            (Some("a.b"), "c"),
            (Some("a"), "b.c"),
            (Some(" "), "*>"),
        ] {
            let event = Delivery::cancellation(&tenant, &name, source, id, now).read().unwrap();
            assert_eq!(
                (event.delivery, event.source.as_deref(), &*event.id),
                (Some(Delivery::Never), source, id)
            );
            let subject = ScheduleSubject::of(&event);
            let by = "5-7".parse().unwrap();
            for waiting in [subject.waiting(by), subject.waiting_without_position()] {
                let parsed = ScheduleSubject::parse_waiting(&waiting).unwrap();
                assert_eq!(parsed, (name.clone(), source.map(str::to_owned), id.to_owned()));
                let is_listed = |all: &String| all.matches('.').count() == waiting.matches('.').count();
                assert!(ScheduleSubject::all_waiting(&tenant).iter().any(is_listed));
            }
            assert_eq!(ScheduleSubject::parse_waiting(&subject.due()), None);
            assert_eq!(ScheduleSubject::parse_waiting(&subject.settled(by)), None);
            assert_eq!(subject.due().matches('.').count(), ScheduleSubject::ALL_DUE.matches('.').count());
            assert!(seen.insert(subject));
        }
    }
}
