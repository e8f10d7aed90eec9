//! Retries a rejected event: publishes it to `EVENTS` again, with its original id.
//!
//! The event is published first and removed from `REJECTED` second. After a crash in between it is in both; if it is
//! then retried within the deduplication window, the projector detects the duplicate. If it is rejected again, the new
//! rejection replaces the old one, and only the rejection that was read is removed.

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::{RawMessageError, RawMessageErrorKind};
use bytes::Bytes;
use tidings_model::{Position, headers, retry_subject};

use super::{ReadRejectionError, RejectedEvent, Rejections, add_own};
use crate::nats::{all_headers, epoch_of, set};
use crate::topology::lives;

impl Rejections {
    /// Publishes the event again and removes its rejection; returns its new sequence in `EVENTS`. The rejection must
    /// come from [`Rejections::get`], with its payload.
    pub async fn retry(&self, rejected: &RejectedEvent) -> Result<u64, RetryError> {
        let (own, payload) = match rejected.omitted_bytes {
            0 => (rejected.headers.clone(), rejected.payload.clone()),
            _ => self.original(rejected.position).await?,
        };
        let mut map = HeaderMap::new();
        add_own(&mut map, &own);
        for (name, value) in rejected.attempts().headers() {
            set(&mut map, name, &value);
        }
        set(&mut map, headers::EVENT_ID, &rejected.id);
        let stored =
            self.context.publish_with_headers(retry_subject(&rejected.subject), map, payload).await?.await?;
        self.drop(rejected).await?;
        Ok(stored.sequence)
    }

    /// Reads the event from `EVENTS`, for a rejection that does not contain all of it.
    async fn original(&self, position: Position) -> Result<(Vec<(String, String)>, Bytes), RetryError> {
        let gone = || RetryError::Incomplete(position);
        let lives = lives::read(&self.context).await.map_err(RetryError::Lives)?;
        if lives.position(epoch_of(self.events.cached_info()), position.sequence) != position {
            return Err(gone());
        }
        let message =
            self.events.get_raw_message(position.sequence).await.map_err(|source| match source.kind() {
                RawMessageErrorKind::NoMessageFound => gone(),
                _ => RetryError::Original(source),
            })?;
        Ok((all_headers(&message.headers), message.payload))
    }
}

/// Why an event cannot be retried.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// The rejection does not contain the complete event, and `EVENTS` no longer has it.
    #[error("event {0} was too large to be stored completely in REJECTED, and EVENTS no longer has it")]
    Incomplete(Position),
    /// The event cannot be read from `EVENTS`.
    #[error("the event cannot be read from stream EVENTS")]
    Original(#[source] RawMessageError),
    /// The lives of `EVENTS` cannot be read, so a position does not identify an event.
    #[error("cannot read whether stream EVENTS was rolled back")]
    Lives(#[source] async_nats::Error),
    /// The event was not published.
    #[error("the event was not published; it is still in REJECTED")]
    Publish(#[from] PublishError),
    /// The event was published, but its rejection was not removed.
    #[error("the event was published, but may still be in REJECTED; retry it again, or drop it")]
    Rejection(#[from] ReadRejectionError),
}
