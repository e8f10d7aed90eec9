//! Reads single messages from the stream's leader. A decision must not rest on a replica that may not have a message
//! yet.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{RawMessageError, RawMessageErrorKind, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::stream_state::{LOOKS, PAUSE, is_led};

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

/// As [`at`], for a message that was there: it is missing only if it was removed. A server that has lost the leadership
/// without noticing, or leads and has not applied its log yet, does not know what follows either; that is asked again. Fails
/// if nothing follows and another server may know more.
pub(crate) async fn certainly_at(
    stream: &Stream,
    sequence: u64,
) -> Result<Option<StreamMessage>, RawMessageError> {
    let looks = if stream.cached_info().config.num_replicas > 1 { LOOKS } else { 0 };
    for _ in 0..looks {
        if let Some(message) = next(stream, ">", sequence).await? {
            return Ok((message.sequence == sequence).then_some(message));
        }
        tokio::time::sleep(PAUSE).await;
    }
    let message = at(stream, sequence).await?;
    if message.is_none() && looks > 0 {
        let info = stream.get_info().await;
        let is_led = info.map_err(Into::into).and_then(|info| Ok(is_led(&info)?));
        is_led.map_err(|error: async_nats::Error| {
            RawMessageError::with_source(RawMessageErrorKind::Other, error)
        })?;
    }
    Ok(message)
}

/// The last message on a subject, which may have wildcards.
pub(crate) async fn last(stream: &Stream, subject: &str) -> Result<Option<StreamMessage>, RawMessageError> {
    found(stream.get_last_raw_message_by_subject(subject).await)
}

/// The sequence of the first message that was stored at this time or later. nats-server counts nanoseconds since 1970 in 64 bits,
/// in which the year 2300 is long past.
pub(crate) async fn first_since(
    context: &Context,
    stream: &str,
    time: OffsetDateTime,
) -> Result<Option<u64>, async_nats::Error> {
    #[derive(Deserialize)]
    struct Found {
        message: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        seq: u64,
    }
    let time = match i64::try_from(time.unix_timestamp_nanos()) {
        Ok(_) => time,
        Err(_) if time > OffsetDateTime::UNIX_EPOCH => return Ok(None),
        Err(_) => OffsetDateTime::UNIX_EPOCH,
    };
    let query = json!({ "start_time": time.format(&Rfc3339)?, "next_by_subj": ">", "no_hdr": true });
    match context.request(format!("STREAM.MSG.GET.{stream}"), &query).await? {
        Response::Ok(Found { message }) => Ok(Some(message.seq)),
        Response::Err { error } if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
        Response::Err { error } => Err(error.into()),
    }
}

fn found(got: Result<StreamMessage, RawMessageError>) -> Result<Option<StreamMessage>, RawMessageError> {
    match got {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error),
    }
}
