//! Faults of client messages and their errors.

use crate::error::{ErrorCode, ErrorMessage, MessageId};

/// A refused message, with its id if that could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct Refused {
    /// The message's own id.
    pub id: Option<MessageId>,
    /// The fault.
    pub fault: Fault,
}

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The text is not JSON.
    #[error("the message is not JSON: {0}")]
    NotJson(String),
    /// The JSON is not an object.
    #[error("the message is {0}, expected a JSON object such as {{\"action\":\"ping\"}}")]
    NotAnObject(String),
    /// The message has no verb.
    #[error("the message has neither `action` nor `type`, expected one of them to name an action")]
    NoVerb,
    /// A member is missing or of a wrong type.
    #[error("{member} is {found}, expected {expected}")]
    Member {
        /// The member, such as `topics[2]`.
        member: String,
        /// The value found.
        found: String,
        /// The value expected.
        expected: &'static str,
    },
    /// An unknown member looks like a misspelling of a known one.
    #[error("there is no member `{found}`, expected `{expected}`")]
    Misnamed {
        /// The member's name.
        found: String,
        /// The known member.
        expected: &'static str,
    },
    /// More topics than one message may have.
    #[error("`topics` has {count} elements, expected at most {limit} in one message")]
    TooManyTopics {
        /// The number of topics.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A filter has too many attributes, or too many values for one of them.
    #[error("{member} has {count} {what}, expected at most {limit}")]
    TooManyFilters {
        /// The member.
        member: String,
        /// `attributes` or `values`.
        what: &'static str,
        /// Their number.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A string is too long.
    #[error("{member} is {found} of {length} bytes, expected at most {limit}")]
    TooLong {
        /// The member.
        member: String,
        /// The beginning of the string.
        found: String,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl Fault {
    /// Returns the error code of this fault.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotJson(_)
            | Self::NotAnObject(_)
            | Self::NoVerb
            | Self::Member { .. }
            | Self::Misnamed { .. } => ErrorCode::InvalidMessage,
            Self::TooManyTopics { .. } => ErrorCode::TooManyTopics,
            Self::TooManyFilters { .. } => ErrorCode::TooManyFilters,
            Self::TooLong { .. } => ErrorCode::ValueTooLong,
        }
    }
}

impl From<Refused> for ErrorMessage {
    fn from(refused: Refused) -> Self {
        Self::new(refused.fault.code(), refused.fault.to_string()).in_reply_to(refused.id)
    }
}
