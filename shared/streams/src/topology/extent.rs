//! What a stream of envelopes holds.

use async_nats::jetstream::stream::InfoError;
use tidings_model::{Epoch, Position, PositionError};

/// What a stream contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The epoch of the stream.
    pub epoch: Epoch,
    /// The sequence before the first retained one.
    pub floor: u64,
    /// The last sequence that was assigned.
    pub last: u64,
    /// The number of messages.
    pub messages: u64,
    /// The size of the messages in the stream, in bytes.
    pub bytes: u64,
}

impl Extent {
    /// Parses a position given by an operator: `new` (only new messages), `all` (everything retained), a sequence, or a
    /// whole position. Fails for a position after the end of the stream.
    pub fn position(&self, text: &str) -> Result<Position, WantedPositionError> {
        let at = |sequence| Position { epoch: self.epoch, sequence };
        let wanted = match text {
            "new" => return Ok(at(self.last)),
            "all" => return Ok(at(self.floor)),
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => {
                at(text.parse().unwrap_or(u64::MAX))
            }
            _ => text.parse()?,
        };
        if wanted.epoch == self.epoch && wanted.sequence > self.last {
            return Err(WantedPositionError::PastEnd { text: text.to_owned(), end: at(self.last) });
        }
        Ok(wanted)
    }
}

/// A text does not name a position from which a consumer can resume.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WantedPositionError {
    /// The text is not a position.
    #[error("{0}; `new`, `all` or a sequence is possible, too")]
    Position(#[from] PositionError),
    /// The position is after the end of the stream.
    #[error("{text} is after the end of the stream, which is {end}; `new` resumes with new messages")]
    PastEnd {
        /// The given text.
        text: String,
        /// The last position in the stream.
        end: Position,
    },
}

/// The state of the stream cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the state of stream {stream} cannot be read now")]
pub struct ExtentError {
    stream: &'static str,
    source: InfoError,
}

impl ExtentError {
    pub(super) fn new(stream: &'static str, source: InfoError) -> Self {
        Self { stream, source }
    }
}
