//! How a producer works.

use std::fmt;
use std::time::Duration;

use async_nats::ConnectOptions;
use tidings_catalog::Catalog;

/// How a producer works. What is not said is as the methods' documentation states.
pub struct Settings {
    pub(crate) servers: String,
    pub(crate) source: String,
    pub(crate) options: ConnectOptions,
    pub(crate) inbox_prefix: Option<String>,
    pub(crate) catalog: Option<Catalog>,
    pub(crate) buffer: usize,
    pub(crate) in_flight: usize,
    pub(crate) max_event_bytes: usize,
    pub(crate) patience: Duration,
}

impl Settings {
    /// For NATS at `servers`, `nats://host:port`, several separated by commas; `source` is the CloudEvents source
    /// of all events: who says it, such as `/incidents`. Two producers with one source have to have different ids.
    #[must_use]
    pub fn new(servers: impl Into<String>, source: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            source: source.into(),
            options: ConnectOptions::new(),
            inbox_prefix: None,
            catalog: None,
            buffer: 10_000,
            in_flight: 256,
            max_event_bytes: 1024 * 1024,
            patience: Duration::from_secs(5),
        }
    }

    /// Connects with these credentials, certificates and timeouts, such as
    /// `ConnectOptions::with_credentials_file("ops-producer.creds").await?`. How to reconnect, the callback for
    /// events and the inbox prefix are the producer's own.
    #[must_use]
    pub fn options(self, options: ConnectOptions) -> Self {
        Self { options, ..self }
    }

    /// Answers come to inboxes that begin like this; the NATS user must be permitted to subscribe to `<prefix>.>`.
    /// `_INBOX_<tenant>_producer` unless told otherwise, for users that may hear nothing else.
    #[must_use]
    pub fn inbox_prefix(self, prefix: impl Into<String>) -> Self {
        Self { inbox_prefix: Some(prefix.into()), ..self }
    }

    /// Refuses what the projector would reject by this catalog. Without one, only what is no event at all.
    #[must_use]
    pub fn catalog(self, catalog: Catalog) -> Self {
        Self { catalog: Some(catalog), ..self }
    }

    /// How many events may be on their way or waiting to be, at least 1. 10,000 unless told otherwise.
    #[must_use]
    pub fn buffer(self, events: usize) -> Self {
        Self { buffer: events.clamp(1, tokio::sync::Semaphore::MAX_PERMITS), ..self }
    }

    /// How many events may be on their way at once, 1 to 4,096. 256 unless told otherwise.
    #[must_use]
    pub fn in_flight(self, events: usize) -> Self {
        Self { in_flight: events.clamp(1, 4_096), ..self }
    }

    /// The largest event, in bytes: `projector.max_event_bytes`. 1 MiB unless told otherwise.
    #[must_use]
    pub fn max_event_bytes(self, bytes: usize) -> Self {
        Self { max_event_bytes: bytes, ..self }
    }

    /// How long NATS may take to answer before it is asked anew. 5 seconds unless told otherwise.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

impl fmt::Debug for Settings {
    /// Without the options, which have secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("servers", &self.servers)
            .field("source", &self.source)
            .field("buffer", &self.buffer)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}
