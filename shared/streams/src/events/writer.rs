//! Writes `EVENTS` for a producer: events arrive in the order in which they are sent, until the connection ends.
//!
//! NATS cannot refuse an event because the one before it was lost, unless the writer knows what other producers wrote.
//! But within one TCP connection only the last messages can be lost. Therefore a writer is one connection, and the
//! client library must not reconnect by itself: it would continue with what was queued after the lost messages. After a
//! failure the caller opens a new writer and sends again from the first event that is not known to be stored. The
//! projector detects duplicates by their source and id. The writer needs only the permission to publish and an inbox.

use std::error::Error as _;
use std::fmt;
use std::future::{Future, IntoFuture as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::context::{ContextBuilder, PublishError, PublishErrorKind};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{ConnectOptions, Event, ServerError};
use bytes::Bytes;

use super::publish::event_headers;
use crate::nats::report;

/// An event to be written.
#[derive(Debug, Clone)]
pub struct OutgoingEvent {
    /// `events.<tenant>.<entity>.<action>`.
    pub subject: String,
    /// Its `Nats-Msg-Id`, different from that of every other event.
    pub message_id: String,
    /// W3C `traceparent`.
    pub trace_parent: Option<String>,
    /// The structured CloudEvent.
    pub cloud_event: Bytes,
}

/// A publication in flight; resolves to the event's sequence in `EVENTS`.
pub type PendingEvent = Pin<Box<dyn Future<Output = Result<u64, EventWriteError>> + Send>>;

/// Writes events over one connection.
pub struct EventWriter {
    context: Context,
    denied: PermissionError,
}

impl fmt::Debug for EventWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EventWriter").finish_non_exhaustive()
    }
}

/// An address without a listener: a client with only this address stops when it loses its connection.
const NOWHERE: &str = "nats://127.0.0.1:0";

impl EventWriter {
    /// Connects to one of these servers, `nats://host:port`, several separated by commas. The options carry the
    /// credentials; the writer overrides those for reconnecting and for connection events.
    pub async fn open(
        servers: &str,
        options: ConnectOptions,
        patience: Duration,
    ) -> Result<Self, OpenWriterError> {
        let unreachable = |source| OpenWriterError { servers: servers.to_owned(), source };
        let addresses: Vec<_> = servers.split(',').map(|server| server.trim().to_owned()).collect();
        let denied = PermissionError::default();
        let noted = denied.clone();
        let client = options
            .ignore_discovered_servers()
            .max_reconnects(addresses.len())
            .reconnect_delay_callback(|_| Duration::ZERO)
            .event_callback(move |event| {
                noted.note(&event);
                async move { report(&event) }
            })
            .connect(addresses)
            .await
            .map_err(|error| unreachable(error.into()))?;
        client.set_server_pool(NOWHERE).await.map_err(|error| unreachable(error.into()))?;
        let context = ContextBuilder::new().timeout(patience).ack_timeout(patience).build(client);
        Ok(Self { context, denied })
    }

    /// Sends an event after all that were sent before. At most 4,096 may be pending.
    pub async fn send(&self, event: &OutgoingEvent) -> Result<PendingEvent, EventWriteError> {
        let OutgoingEvent { subject, message_id, trace_parent, cloud_event } = event;
        let headers = event_headers(message_id, trace_parent.as_deref()).map_err(|_| {
            EventWriteError::Refused(format!("its id {message_id:?} cannot travel in a NATS header"))
        })?;
        let sent = self.context.publish_with_headers(subject.clone(), headers, cloud_event.clone()).await;
        let denied = self.denied.clone();
        let subject = subject.clone();
        let failed = move |error| EventWriteError::new(error, &subject, &denied);
        let acknowledged = sent.map_err(&failed)?.into_future();
        Ok(Box::pin(async move { Ok(acknowledged.await.map_err(failed)?.sequence) }))
    }
}

/// The last permission error of the server: the client reports a denied permission only as a connection event.
#[derive(Clone, Default)]
struct PermissionError(Arc<Mutex<Option<String>>>);

impl PermissionError {
    fn note(&self, event: &Event) {
        if let Event::ServerError(ServerError::Other(text)) = event {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.clone());
        }
    }

    fn text(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The connection cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to NATS at {servers}")]
pub struct OpenWriterError {
    /// The addresses of the servers.
    servers: String,
    /// The error of the client.
    source: async_nats::Error,
}

/// Why an event is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub enum EventWriteError {
    /// The event is refused, however often it is sent; other events may be stored.
    #[error("NATS does not take the event: {0}")]
    Refused(String),
    /// No stream receives the subject: no projector has been started yet, or the stream has no leader now.
    #[error("no stream stores events now; a projector that starts creates stream EVENTS")]
    NoStream,
    /// The server permits publishing but not receiving the answer, or denies something else.
    #[error("NATS does not answer; it reports: {0}")]
    Reported(String),
    /// NATS is slow or unavailable; the event may or may not be stored.
    #[error("NATS does not store events now")]
    Unavailable(#[source] PublishError),
}

impl EventWriteError {
    fn new(error: PublishError, subject: &str, denied: &PermissionError) -> Self {
        match error.kind() {
            PublishErrorKind::StreamNotFound => Self::NoStream,
            PublishErrorKind::MaxPayloadExceeded => Self::Refused(described(&error)),
            PublishErrorKind::TimedOut => match denied.text() {
                Some(text) if text.contains(&format!("Publish to \"{subject}\"")) => Self::Refused(text),
                Some(text) => Self::Reported(text),
                None => Self::Unavailable(error),
            },
            _ if is_too_large(&error) => Self::Refused(described(&error)),
            _ => Self::Unavailable(error),
        }
    }
}

/// Whether the event exceeds a limit of the stream.
fn is_too_large(error: &PublishError) -> bool {
    let answer = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    answer.is_some_and(|answer| answer.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
}

fn described(error: &PublishError) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
