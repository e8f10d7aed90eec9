//! Rejections: why an event cannot be projected.

use std::fmt;

use jsonschema::ValidationError;
use tidings_model::{AddressError, EventError};

use crate::template::Unresolved;

/// The longest explanation, in characters. It is sent in a NATS header.
const MAX_TEXT: usize = 400;

/// The longest pointer, in bytes. A longer one, made of a producer's member names, is omitted.
const MAX_POINTER: usize = 1024;

/// The stable reason of a rejection, written in `Tidings-Reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The subject, the JSON or the CloudEvents attributes are not those of an event.
    MalformedEvent,
    /// The event is larger than allowed.
    TooLarge,
    /// No catalog serves the tenant in the subject.
    UnknownTenant,
    /// The stored placement of the tenant's envelopes cannot be read.
    UnreadablePlacement,
    /// The tenant's catalog has no message for this event.
    UnknownEvent,
    /// The event lacks a value that the message or the address needs.
    MissingValue,
    /// The message would violate its schema.
    SchemaViolation,
    /// The event's data gives no address, or an invalid one.
    NoAddress,
    /// Another event of the same source has the same id.
    IdReused,
    /// The message of a source has no name of an event.
    Unmapped,
    /// The event is to be delivered later, and cannot wait until then.
    NotScheduled,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::MalformedEvent,
        Self::TooLarge,
        Self::UnknownTenant,
        Self::UnreadablePlacement,
        Self::UnknownEvent,
        Self::MissingValue,
        Self::SchemaViolation,
        Self::NoAddress,
        Self::IdReused,
        Self::Unmapped,
        Self::NotScheduled,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedEvent => "malformed-event",
            Self::TooLarge => "too-large",
            Self::UnknownTenant => "unknown-tenant",
            Self::UnreadablePlacement => "unreadable-placement",
            Self::UnknownEvent => "unknown-event",
            Self::MissingValue => "missing-value",
            Self::SchemaViolation => "schema-violation",
            Self::NoAddress => "no-address",
            Self::IdReused => "id-reused",
            Self::Unmapped => "unmapped",
            Self::NotScheduled => "not-scheduled",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why an event cannot be projected, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {text}")]
pub struct Rejection {
    /// The stable reason.
    pub reason: Reason,
    /// What is wrong, the value, and what was expected, on one line.
    pub text: String,
    /// JSON pointer (RFC 6901) of the place: in the message for a schema violation, in the event's data for a missing
    /// value. `None` if it is longer than 1024 bytes.
    pub pointer: Option<String>,
}

impl Rejection {
    /// Creates a rejection of the whole event.
    #[must_use]
    pub fn new(reason: Reason, text: &str) -> Self {
        let mut line: String =
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT + 1).collect();
        if line.chars().count() > MAX_TEXT {
            line.pop();
            line.push('…');
        }
        Self { reason, text: line, pointer: None }
    }

    /// The rejection of a malformed event.
    #[must_use]
    pub fn malformed(error: &EventError) -> Self {
        let source = std::error::Error::source(error).map(|source| format!(": {source}"));
        Self::new(Reason::MalformedEvent, &format!("{error}{}", source.unwrap_or_default()))
    }

    pub(crate) fn unresolved(unresolved: &Unresolved) -> Self {
        let text = format!("{} at {}", unresolved.what, unresolved.path);
        Self { pointer: unresolved.pointer(), ..Self::new(Reason::MissingValue, &text) }
    }

    pub(crate) fn address(error: &AddressError) -> Self {
        Self::new(Reason::NoAddress, &error.to_string())
    }

    pub(crate) fn schema(message: &str, error: &ValidationError<'_>) -> Self {
        let pointer = error.instance_path().to_string();
        let text = format!("message `{message}` at {pointer:?}: {error}");
        let pointer = Some(pointer).filter(|pointer| pointer.len() <= MAX_POINTER);
        Self { pointer, ..Self::new(Reason::SchemaViolation, &text) }
    }
}
