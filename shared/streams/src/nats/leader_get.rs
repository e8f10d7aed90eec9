//! Reads single messages from the stream's leader. A decision must not rest on a replica that may not have a message
//! yet.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageError, RawMessageErrorKind, Stream};

/// The first message on a subject, which may have wildcards, with at least this sequence.
pub(crate) async fn next(
    stream: &Stream,
    subject: &str,
    sequence: u64,
) -> Result<Option<StreamMessage>, RawMessageError> {
    found(stream.raw_message_builder().sequence(sequence).next_by_subject(subject).send().await)
}

/// The message with this sequence.
pub(crate) async fn at(stream: &Stream, sequence: u64) -> Result<Option<StreamMessage>, RawMessageError> {
    found(stream.get_raw_message(sequence).await)
}

/// The last message on a subject, which may have wildcards.
pub(crate) async fn last(stream: &Stream, subject: &str) -> Result<Option<StreamMessage>, RawMessageError> {
    found(stream.get_last_raw_message_by_subject(subject).await)
}

fn found(got: Result<StreamMessage, RawMessageError>) -> Result<Option<StreamMessage>, RawMessageError> {
    match got {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error),
    }
}
