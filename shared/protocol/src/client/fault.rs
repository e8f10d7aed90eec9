//! What can be wrong with a client's message, and the error that says so.

use crate::error::{ErrorCode, ErrorMessage, MessageId};

/// A message that was refused, with its id where that could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct Refused {
    /// The message's own id.
    pub id: Option<MessageId>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Text that is no JSON.
    #[error("the message is not JSON: {0}")]
    NotJson(String),
    /// JSON that is no object.
    #[error("the message is {0}, expected a JSON object such as {{\"action\":\"ping\"}}")]
    NotAnObject(String),
    /// Nothing says what the client wants.
    #[error("the message has neither `action` nor `type`, expected one of them to name an action")]
    NoVerb,
    /// A member that is missing or of a wrong type.
    #[error("{member} is {found}, expected {expected}")]
    Member {
        /// Which member, such as `topics[2]`.
        member: String,
        /// What is there.
        found: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A member that looks like one which is read, and would be passed over.
    #[error("there is no member `{found}`, expected `{expected}`")]
    Misnamed {
        /// Its name.
        found: String,
        /// The one that it looks like.
        expected: &'static str,
    },
    /// More topics than one message may name.
    #[error("`topics` has {count} elements, expected at most {limit} in one message")]
    TooManyTopics {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// More attributes, or values for one of them, than a filter may have.
    #[error("{member} has {count} {what}, expected at most {limit}")]
    TooManyFilters {
        /// Which member.
        member: String,
        /// Attributes or values.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A string beyond the bound.
    #[error("{member} is {found} of {length} bytes, expected at most {limit}")]
    TooLong {
        /// Which member.
        member: String,
        /// The beginning of the string.
        found: String,
        /// Its length in bytes.
        length: usize,
        /// The greatest length in bytes.
        limit: usize,
    },
}

impl Fault {
    /// The error code that it is reported as.
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
