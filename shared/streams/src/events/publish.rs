//! Publishes an event as a producer does.

use std::future::IntoFuture as _;
use std::str::FromStr as _;

use async_nats::header::ParseHeaderValueError;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tidings_model::{CloudEvent, RawEvent, headers};

use crate::nats::{is_permanent, set};
use crate::topology::{Topology, bounded_by};

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

/// The answer to an event that was sent: its sequence in `EVENTS` once NATS has stored it.
pub type EventAnswer = BoxFuture<'static, Result<u64, PublishEventError>>;

impl Topology {
    /// Sends an event with its own headers, after all that were sent before on this connection. Awaiting the answer is
    /// another step, so that several can be under way.
    pub async fn send_event(&self, event: &RawEvent) -> Result<EventAnswer, PublishEventError> {
        let mut map = HeaderMap::new();
        for (name, value) in &event.headers {
            let header = HeaderName::from_str(name).ok().zip(HeaderValue::from_str(value).ok());
            let (name, value) = header.ok_or_else(|| PublishEventError::Header(name.clone()))?;
            map.append(name, value);
        }
        let (subject, payload) = (event.subject.clone(), event.payload.clone());
        let sent = self.context.publish_with_headers(subject, map, payload).await;
        let subject = event.subject.clone();
        let answer = sent.map_err(|source| refused(&subject, source))?.into_future();
        Ok(Box::pin(async move { Ok(answer.await.map_err(|source| refused(&subject, source))?.sequence) }))
    }

    /// The largest event, headers included, that NATS accepts and `EVENTS` stores, in bytes.
    #[must_use]
    pub fn max_event(&self) -> usize {
        bounded_by(&self.events, self.context.client().max_payload())
    }
}

/// How many bytes of [`Topology::max_event`] an event takes.
#[must_use]
pub fn event_size(event: &RawEvent) -> usize {
    // `NATS/1.0`, then each header on a line, and an empty line.
    let headers = event.headers.iter().map(|(name, value)| name.len() + value.len() + 4);
    event.payload.len() + "NATS/1.0\r\n\r\n".len() + headers.sum::<usize>()
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
    let refused = |source| refused(subject, source);
    let map = event_headers(message_id, None).map_err(|_| PublishEventError::Id(message_id.to_owned()))?;
    let ack = context.publish_with_headers(subject.to_owned(), map, cloud_event).await.map_err(refused)?;
    Ok(ack.await.map_err(refused)?.sequence)
}

fn refused(subject: &str, source: PublishError) -> PublishEventError {
    let subject = subject.to_owned();
    match source.kind() {
        PublishErrorKind::StreamNotFound => PublishEventError::NoStream { subject },
        _ => PublishEventError::Refused { subject, source },
    }
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
    /// A header cannot travel in NATS.
    #[error("header {0:?} of the event cannot travel in NATS: its name or its value has a line break")]
    Header(String),
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
            Self::Id(_) | Self::Header(_) => true,
            Self::Refused { source, .. } => is_permanent(source),
        }
    }
}
