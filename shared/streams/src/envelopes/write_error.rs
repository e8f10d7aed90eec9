//! Why an envelope was not written.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};

use crate::nats::fences::ZONE;
use crate::nats::{code, is_permanent};

/// Why an envelope was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The stream does not end where this writer expects: another writer wrote, or an earlier publication was lost.
    #[error("the stream ENVELOPES does not end where this writer left it")]
    LostPlace,
    /// The message was stored before, so it did not take the sequence that was meant for it. Nothing sent after it will
    /// be stored.
    #[error("the stream ENVELOPES holds the message already")]
    Repeated,
    /// More publications would be in flight than the fences cover.
    #[error("{} publications are not confirmed yet; no more may be under way", ZONE)]
    Unconfirmed,
    /// The stream never accepts the message, however often it is sent.
    #[error("stream ENVELOPES does not take the message")]
    Refused(#[source] PublishError),
    /// NATS is slow, has no leader, or is unavailable.
    #[error("stream ENVELOPES cannot be written now")]
    Unavailable(#[source] async_nats::Error),
}

impl WriteError {
    pub(crate) fn unavailable(error: impl Into<async_nats::Error>) -> Self {
        Self::Unavailable(error.into())
    }

    pub(crate) fn from_publish(error: PublishError) -> Self {
        match error.kind() {
            PublishErrorKind::WrongLastSequence => Self::LostPlace,
            _ if code(&error) == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT) => Self::LostPlace,
            _ if is_permanent(&error) => Self::Refused(error),
            _ => Self::unavailable(error),
        }
    }
}
