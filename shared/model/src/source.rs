//! Copies: events that a projector makes of the messages of a source, which is a JetStream stream of a team's own.
//!
//! A copy has a subject of its own, `events.<tenant>.<entity>.<action>.source.<source>`. So the last copy of a source is
//! one lookup in `EVENTS`, and accounts that let producers publish events of four tokens do not let them forge a copy. A
//! message that has no name of an event is copied as `events.<tenant>.?.?.source.<source>`, for `REJECTED`.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{EventName, Position, Tenant};

/// The fifth token of a copy's subject.
const SOURCE: &str = "source";
/// The last token of a copy that is retried, so that it is not taken for the newest one of its source.
const RETRY: &str = "retry";
/// In place of entity and action where a message has none. No event has this name.
const UNNAMED: &str = "?.?";

/// Where a copy comes from: `<stream> <epoch>-<sequence> <time>`. The time tells apart messages that a rolled-back stream
/// has stored under one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePosition {
    /// The name of the stream.
    pub stream: String,
    /// The position of the message in that stream.
    pub position: Position,
    /// When that stream stored the message.
    pub stored_at: OffsetDateTime,
}

impl SourcePosition {
    /// Whether that stream stored this message after the other one.
    #[must_use]
    pub fn is_after(&self, other: &Self) -> bool {
        (self.stored_at, self.position.sequence) > (other.stored_at, other.position.sequence)
    }

    /// The id of a copy whose message has none of its own: it is unique, also after a rollback.
    #[must_use]
    pub fn event_id(&self, source: &str) -> String {
        let micros = u64::try_from(self.stored_at.unix_timestamp_nanos() / 1_000).unwrap_or_default();
        format!("{source}-{micros:x}-{}", self.position.sequence)
    }
}

impl fmt::Display for SourcePosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.stored_at.format(&Rfc3339).map_err(|_| fmt::Error)?;
        write!(formatter, "{} {} {time}", self.stream, self.position)
    }
}

impl FromStr for SourcePosition {
    type Err = SourcePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || SourcePositionError(text.chars().take(64).collect());
        let mut parts = text.split(' ');
        let (Some(stream), Some(position), Some(time), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        Ok(Self {
            stream: stream.to_owned(),
            position: position.parse().map_err(|_| wrong())?,
            stored_at: OffsetDateTime::parse(time, &Rfc3339).map_err(|_| wrong())?,
        })
    }
}

/// A text is not the place of a message in a source.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not <stream> <epoch>-<sequence> <time>")]
pub struct SourcePositionError(String);

/// The subject of a copy; of one without a name, if there is none.
#[must_use]
pub fn copy_subject(tenant: &Tenant, name: Option<&EventName>, source: &str) -> String {
    let name = name.map_or_else(|| UNNAMED.to_owned(), ToString::to_string);
    format!("events.{tenant}.{name}.{SOURCE}.{source}")
}

/// The subject that matches all copies of a source, in all tenants, but not those that are retried.
#[must_use]
pub fn copies_of(source: &str) -> String {
    format!("events.*.*.*.{SOURCE}.{source}")
}

/// The subject on which an event of this subject is retried.
#[must_use]
pub fn retry_subject(subject: &str) -> String {
    match parts(subject) {
        Some((_, _, false)) => format!("{subject}.{RETRY}"),
        _ => subject.to_owned(),
    }
}

/// The source of which an event with this subject is a copy.
#[must_use]
pub fn source_of(subject: &str) -> Option<&str> {
    parts(subject).map(|(_, source, _)| source)
}

/// Whether a copy with this subject has no name of an event.
#[must_use]
pub fn is_unnamed(subject: &str) -> bool {
    parts(subject).is_some_and(|(published_on, ..)| published_on.ends_with(UNNAMED))
}

/// Whether an event with this subject is a copy that is retried.
#[must_use]
pub fn is_retried_copy(subject: &str) -> bool {
    parts(subject).is_some_and(|(_, _, is_retried)| is_retried)
}

/// The subject that a producer would use for a copy.
pub(crate) fn published_on(subject: &str) -> Option<&str> {
    parts(subject).map(|(published_on, ..)| published_on)
}

/// Takes the subject of a copy apart: what a producer would use, the source, and whether it is retried.
fn parts(subject: &str) -> Option<(&str, &str, bool)> {
    let mut dots = subject.match_indices('.').map(|(at, _)| at);
    let end = dots.nth(3)?;
    let mut tokens = subject[end + 1..].split('.');
    let (token, source) = (tokens.next()?, tokens.next()?);
    let is_retried = match tokens.next() {
        None => false,
        Some(RETRY) if tokens.next().is_none() => true,
        Some(_) => return None,
    };
    (token == SOURCE && !source.is_empty()).then_some((&subject[..end], source, is_retried))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copys_subject_says_what_a_producer_would_use_and_its_source() {
        let tenant = Tenant::parse("ops").unwrap();
        let name = EventName::parse("incident.created").unwrap();
        let subject = copy_subject(&tenant, Some(&name), "orders");
        assert_eq!(subject, "events.ops.incident.created.source.orders");
        assert_eq!(EventName::producers_subject(&subject), "events.ops.incident.created");
        assert_eq!((source_of(&subject), is_unnamed(&subject)), (Some("orders"), false));
        let retried = retry_subject(&subject);
        assert_eq!(retried, "events.ops.incident.created.source.orders.retry");
        assert_eq!(EventName::producers_subject(&retried), "events.ops.incident.created");
        assert_eq!((retry_subject(&retried), is_retried_copy(&retried)), (retried.clone(), true));
        let unnamed = copy_subject(&tenant, None, "orders");
        assert_eq!((unnamed.as_str(), is_unnamed(&unnamed)), ("events.ops.?.?.source.orders", true));
        for other in [
            "events.ops.incident.created",
            "events.ops.incident.created.client",
            "events.ops.incident.source.orders",
            "events.ops.incident.created.source",
            "events.ops.incident.created.source.",
            "events.ops.incident.created.sources.orders",
            "events.ops.incident.created.source.orders.again",
            "events.ops.incident.created.source.orders.retry.retry",
        ] {
            assert_eq!((source_of(other), retry_subject(other).as_str()), (None, other), "{other}");
        }
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place: SourcePosition = "ORDERS 18f3a0c2b41-42 2025-01-17T10:30:00.123456789Z".parse().unwrap();
        assert_eq!(place.to_string(), "ORDERS 18f3a0c2b41-42 2025-01-17T10:30:00.123456789Z");
        assert_eq!(place.to_string().parse::<SourcePosition>().unwrap(), place);
        assert_eq!(place.event_id("orders"), "orders-62be464927c40-42");
        let later = SourcePosition { position: "18f3a0c2b41-43".parse().unwrap(), ..place.clone() };
        assert!(later.is_after(&place) && !place.is_after(&later) && !place.is_after(&place));
        for wrong in ["", "ORDERS", "ORDERS 1-2", "ORDERS 1-2 now", "A B 1-2 2025-01-17T10:30:00Z"] {
            assert!(wrong.parse::<SourcePosition>().is_err(), "{wrong}");
        }
    }
}
