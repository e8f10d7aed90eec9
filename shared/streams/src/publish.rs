//! Publishing an event as a producer does.

use std::str::FromStr as _;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use tidings_model::headers;

/// Publishes a structured CloudEvent and returns its sequence in `EVENTS` once NATS has stored it.
///
/// A repetition with the same subject and id within the deduplication window is stored once and
/// returns the sequence of the first.
pub async fn publish_event(
    client: &async_nats::Client,
    subject: &str,
    id: &str,
    cloud_event: Bytes,
) -> Result<u64, PublishEventError> {
    let refused = |source: PublishError| match source.kind() {
        PublishErrorKind::StreamNotFound => PublishEventError::NoStream { subject: subject.to_owned() },
        _ => PublishEventError::Refused { subject: subject.to_owned(), source },
    };
    let mut map = HeaderMap::new();
    let message_id = HeaderValue::from_str(&format!("{subject}/{id}"));
    map.insert(headers::MESSAGE_ID, message_id.map_err(|_| PublishEventError::Id(id.to_owned()))?);
    map.insert(headers::CONTENT_TYPE, "application/cloudevents+json");
    let context = async_nats::jetstream::new(client.clone());
    let ack = context.publish_with_headers(subject.to_owned(), map, cloud_event).await.map_err(refused)?;
    Ok(ack.await.map_err(refused)?.sequence)
}

/// NATS did not store an event.
#[derive(Debug, thiserror::Error)]
pub enum PublishEventError {
    /// No stream listens.
    #[error("no stream stores what is published on {subject}; a projector that starts creates stream EVENTS")]
    NoStream {
        /// Where the event was published.
        subject: String,
    },
    /// An id with line breaks.
    #[error("event id {0:?} cannot travel in a NATS header")]
    Id(String),
    /// NATS says no, or nothing.
    #[error("NATS did not store the event published on {subject}")]
    Refused {
        /// Where the event was published.
        subject: String,
        /// What the client says.
        #[source]
        source: PublishError,
    },
}
