//! Trying a rejected event again: it goes through `EVENTS` once more, with the id that it had.
//!
//! Published first, removed from `REJECTED` then: killed in between, it is in both, and if it is retried again within the
//! deduplication window, the projector recognizes the repetition. If it is rejected again, its rejection is replaced, and what is
//! removed then is only the one that was read.

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::{RawMessageError, RawMessageErrorKind};
use bytes::Bytes;
use tidings_model::{Position, headers};

use super::{ReadRejectionError, RejectedEvent, Rejections, add_own};
use crate::convert::{all_headers, set};
use crate::lives;
use crate::topology::epoch_of;

impl Rejections {
    /// Publishes the event anew and removes its rejection; returns its new sequence in `EVENTS`. The rejection must be
    /// one that [`Rejections::get`] returned, with its payload.
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
        let stored = self.context.publish_with_headers(rejected.subject.clone(), map, payload).await?.await?;
        self.drop(rejected).await?;
        Ok(stored.sequence)
    }

    /// The event as it lies in `EVENTS`, for a rejection that did not hold all of it.
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

/// Why an event cannot be tried again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// The rejection does not hold all of the event.
    #[error(
        "event {0} was too large to be kept whole with its rejection, and EVENTS does not hold it any more"
    )]
    Incomplete(Position),
    /// The event cannot be read.
    #[error("the event cannot be read from stream EVENTS")]
    Original(#[source] RawMessageError),
    /// It is not known which event lies at a position.
    #[error("NATS does not say whether stream EVENTS has come back with less than it had")]
    Lives(#[source] async_nats::Error),
    /// The event was not published.
    #[error("the event was not published; it is still in REJECTED")]
    Publish(#[from] PublishError),
    /// It was published and is still in `REJECTED`.
    #[error("the event was published, but may still be in REJECTED; retry it again, or drop it")]
    Rejection(#[from] ReadRejectionError),
}
