//! The way of an event that could not be projected: into `REJECTED` and, when it is retried, out again.
//!
//! A rejection is known by the position at which its event was first tried, however often it is: so a retry that fails
//! leads to the same rejection, and not to another one beside it.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Position, RawEvent, headers, subject};

/// How often an event was tried. The event carries it through `EVENTS` when it is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// Where the event lay when it was tried first.
    pub first: Position,
    /// When that was stored.
    pub first_seen: OffsetDateTime,
    /// How often it was tried, this time included.
    pub tries: u32,
}

impl Attempts {
    /// Of an event that is tried now.
    #[must_use]
    pub fn of(event: &RawEvent) -> Self {
        Self::before(|name| event.header(name)).map_or(
            Self { first: event.position, first_seen: event.stored_at, tries: 1 },
            |before| Self { tries: before.tries.saturating_add(1), ..before },
        )
    }

    /// What headers say that [`Attempts::headers`] made; `None` if there are none, or others.
    pub fn before<'h>(header: impl Fn(&'static str) -> Option<&'h str>) -> Option<Self> {
        Some(Self {
            first: header(headers::FIRST_POSITION)?.parse().ok()?,
            first_seen: OffsetDateTime::parse(header(headers::FIRST_SEEN)?, &Rfc3339).ok()?,
            tries: header(headers::TRIES)?.parse().ok()?,
        })
    }

    /// The headers that say so.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, String); 3] {
        [
            (headers::FIRST_POSITION, self.first.to_string()),
            // A time of the stream has a year that RFC 3339 can write.
            (headers::FIRST_SEEN, self.first_seen.format(&Rfc3339).unwrap_or_default()),
            (headers::TRIES, self.tries.to_string()),
        ]
    }
}

/// The subject of a rejection: `rejected.<tenant>.<epoch>.<sequence>`, where the tenant is whatever the event's subject
/// says, encoded, and the rest is the position at which the event was first tried.
#[must_use]
pub fn rejection_subject(event_subject: &str, first: Position) -> String {
    let tenant = event_subject.split('.').nth(1).map(subject::encode);
    let tenant = tenant.as_deref().unwrap_or(subject::ABSENT);
    format!("rejected.{tenant}.{}.{}", first.epoch, first.sequence)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn attempts_travel_with_the_event() {
        let mut event = RawEvent {
            subject: "events.ops.incident.created".to_owned(),
            headers: Vec::new(),
            payload: Bytes::new(),
            position: "5-7".parse().unwrap(),
            stored_at: OffsetDateTime::UNIX_EPOCH,
        };
        let first = Attempts::of(&event);
        assert_eq!((first.first, first.tries), (event.position, 1));
        event.headers = first.headers().map(|(name, value)| (name.to_owned(), value)).to_vec();
        event.position = "5-9".parse().unwrap();
        assert_eq!(Attempts::of(&event), Attempts { tries: 2, ..first });
        // Half of it, or rubbish, is nothing.
        event.headers.pop();
        assert_eq!(Attempts::of(&event).first, event.position);
        assert_eq!(rejection_subject(&event.subject, first.first), "rejected.ops.5.7");
        assert_eq!(rejection_subject("events", first.first), "rejected.-.5.7");
    }
}
