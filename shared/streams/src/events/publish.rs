//! Publishes an event as a producer does.

use std::str::FromStr as _;

use async_nats::header::ParseHeaderValueError;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use tidings_model::{CloudEvent, headers};

use crate::nats::{is_permanent, set};
use crate::topology::Topology;

impl Topology {
    /// Like [`publish_event`], with the client of this topology.
    pub async fn publish_event(
        &self,
        subject: &str,
        message_id: &str,
        cloud_event: Bytes,
    ) -> Result<u64, PublishEventError> {
        publish(&self.context, subject, message_id, cloud_event).await
    }
}

/// Publishes a structured CloudEvent and returns its sequence in `EVENTS` once NATS has stored it.
///
/// An event that is published twice is stored twice. The projector detects the duplicate by the event's source and id,
/// and a duplicate that a gateway publishes for a client by its message id.
pub async fn publish_event(
    client: &async_nats::Client,
    subject: &str,
    message_id: &str,
    cloud_event: Bytes,
) -> Result<u64, PublishEventError> {
    publish(&async_nats::jetstream::new(client.clone()), subject, message_id, cloud_event).await
}

async fn publish(
    context: &Context,
    subject: &str,
    message_id: &str,
    cloud_event: Bytes,
) -> Result<u64, PublishEventError> {
    let refused = |source: PublishError| match source.kind() {
        PublishErrorKind::StreamNotFound => PublishEventError::NoStream { subject: subject.to_owned() },
        _ => PublishEventError::Refused { subject: subject.to_owned(), source },
    };
    let map = event_headers(message_id, None).map_err(|_| PublishEventError::Id(message_id.to_owned()))?;
    let ack = context.publish_with_headers(subject.to_owned(), map, cloud_event).await.map_err(refused)?;
    Ok(ack.await.map_err(refused)?.sequence)
}

/// The headers of a structured CloudEvent; fails for an id with line breaks.
pub(crate) fn event_headers(
    message_id: &str,
    trace_parent: Option<&str>,
) -> Result<HeaderMap, ParseHeaderValueError> {
    let mut map = HeaderMap::new();
    map.insert(headers::MESSAGE_ID, HeaderValue::from_str(message_id)?);
    map.insert(headers::CONTENT_TYPE, CloudEvent::CONTENT_TYPE);
    if let Some(trace_parent) = trace_parent {
        set(&mut map, headers::TRACE_PARENT, trace_parent);
    }
    Ok(map)
}

/// NATS did not store an event.
#[derive(Debug, thiserror::Error)]
pub enum PublishEventError {
    /// No stream receives the subject.
    #[error("no stream stores what is published on {subject}; a projector that starts creates stream EVENTS")]
    NoStream {
        /// Where the event was published.
        subject: String,
    },
    /// The id contains line breaks.
    #[error("message id {0:?} cannot travel in a NATS header")]
    Id(String),
    /// NATS refused the event, or did not answer.
    #[error("NATS did not store the event published on {subject}")]
    Refused {
        /// Where the event was published.
        subject: String,
        /// The error of the client.
        #[source]
        source: PublishError,
    },
}

impl PublishEventError {
    /// Whether NATS refuses the event however often it is sent.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NoStream { .. } => false,
            Self::Id(_) => true,
            Self::Refused { source, .. } => is_permanent(source),
        }
    }
}
