//! Distinguishes errors of publications.

use std::error::Error as _;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};

/// The error code that JetStream answered, if it did.
fn code(error: &PublishError) -> Option<ErrorCode> {
    let answer = error.source()?.downcast_ref::<jetstream::Error>()?;
    Some(answer.error_code())
}

/// Whether NATS always refuses this message, while it may accept others. Such a message is never sent again.
pub(crate) fn is_permanent(error: &PublishError) -> bool {
    error.kind() == PublishErrorKind::MaxPayloadExceeded || code(error).is_some_and(is_permanent_code)
}

/// Whether an error with this code means the same.
pub(crate) fn is_permanent_code(code: ErrorCode) -> bool {
    const PERMANENT: [ErrorCode; 3] = [
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM,
        ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM,
        ErrorCode::MESSAGE_TTL_INVALID,
    ];
    PERMANENT.contains(&code)
}

/// Whether the subject has another last sequence than was expected or, in a cluster, is just being assigned one.
pub(crate) fn was_beaten(error: &PublishError) -> bool {
    error.kind() == PublishErrorKind::WrongLastSequence
        || code(error) == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
}
