//! Converts a message of `EVENTS` to an event.

use async_nats::HeaderMap;
use bytes::Bytes;
use tidings_model::{Position, RawEvent};
use time::OffsetDateTime;

use crate::nats::all_headers;

/// An event as stored in the stream.
pub(crate) fn raw_event(
    subject: &str,
    headers: Option<&HeaderMap>,
    payload: Bytes,
    position: Position,
    stored_at: OffsetDateTime,
) -> RawEvent {
    let headers = headers.map(all_headers).unwrap_or_default();
    RawEvent { subject: subject.to_owned(), headers, payload, position, stored_at }
}
