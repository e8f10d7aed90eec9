//! Why an envelope was not written.

use async_nats::client::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};

use crate::nats::is_permanent_code;

/// Why an envelope was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The stream does not end where this writer expects: another writer wrote, or an earlier publication was lost.
    #[error("the stream ENVELOPES does not end where this writer left it")]
    LostPlace,
    /// As many publications are unconfirmed as the writer permits.
    #[error("{window} publications are not confirmed yet; no more may be under way")]
    Unconfirmed {
        /// How many it permits.
        window: usize,
    },
    /// The stream never accepts the message, however often it is sent.
    #[error("stream ENVELOPES does not take the message")]
    Refused(#[source] async_nats::Error),
    /// NATS is slow, has no leader, or is unavailable.
    #[error("stream ENVELOPES cannot be written now")]
    Unavailable(#[source] async_nats::Error),
}

impl WriteError {
    pub(crate) fn unavailable(error: impl Into<async_nats::Error>) -> Self {
        Self::Unavailable(error.into())
    }

    /// The error of a message that was not sent.
    pub(super) fn from_publish(error: PublishError) -> Self {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => Self::Refused(error.into()),
            _ => Self::unavailable(error),
        }
    }

    /// The error of a message that NATS refuses.
    pub(super) fn from_refusal(error: jetstream::Error) -> Self {
        match error.error_code() {
            // The stream's leader does not know a batch that its predecessor has begun, unless it has applied a message
            // of it, nor one that it has ended.
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE
            | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
            | ErrorCode::BATCH_PUBLISH_UNKNOWN_BATCH_ID => Self::LostPlace,
            code if is_permanent_code(code) => Self::Refused(error.into()),
            _ => Self::unavailable(error),
        }
    }
}
