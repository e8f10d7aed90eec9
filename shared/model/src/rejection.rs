//! Rejections: an event that cannot be projected goes to `REJECTED`, and back to `EVENTS` when it is retried.
//!
//! A rejection is identified by the position of the event's first attempt. So a failed retry updates the same rejection
//! and does not add another one.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Position, RawEvent, headers, subject};

/// The attempts to project an event. A retried event carries them in its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// The event's position at the first attempt.
    pub first: Position,
    /// When that event was stored.
    pub first_seen: OffsetDateTime,
    /// The number of attempts, including the present one.
    pub tries: u32,
}

impl Attempts {
    /// The attempts of an event that is being projected.
    #[must_use]
    pub fn of(event: &RawEvent) -> Self {
        Self::before(|name| event.header(name)).map_or(
            Self { first: event.position, first_seen: event.stored_at, tries: 1 },
            |before| Self { tries: before.tries.saturating_add(1), ..before },
        )
    }

    /// Parses the headers of [`Attempts::headers`]. Returns `None` if they are absent or invalid.
    pub fn before<'h>(header: impl Fn(&'static str) -> Option<&'h str>) -> Option<Self> {
        Some(Self {
            first: header(headers::FIRST_POSITION)?.parse().ok()?,
            first_seen: OffsetDateTime::parse(header(headers::FIRST_SEEN)?, &Rfc3339).ok()?,
            tries: header(headers::TRIES)?.parse().ok()?,
        })
    }

    /// Returns the headers with the attempts.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, String); 3] {
        [
            (headers::FIRST_POSITION, self.first.to_string()),
            // RFC 3339 can write the year of a stream's time.
            (headers::FIRST_SEEN, self.first_seen.format(&Rfc3339).unwrap_or_default()),
            (headers::TRIES, self.tries.to_string()),
        ]
    }
}

/// Returns the subject of a rejection: `rejected.<tenant>.<epoch>.<sequence>`. The tenant is that of the event's
/// subject, encoded, even if it is not valid. The rest is the position of the first attempt.
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
        // Incomplete or invalid headers count as absent.
        event.headers.pop();
        assert_eq!(Attempts::of(&event).first, event.position);
        assert_eq!(rejection_subject(&event.subject, first.first), "rejected.ops.5.7");
        assert_eq!(rejection_subject("events", first.first), "rejected.-.5.7");
    }
}
