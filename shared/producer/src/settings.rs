//! Settings of a producer.

use std::fmt;
use std::time::Duration;

use async_nats::ConnectOptions;
use tidings_catalog::Catalog;

/// Settings of a producer. The methods document the defaults.
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
    /// Creates settings for the NATS servers `servers`, `nats://host:port`, several separated by commas. `source` is
    /// the CloudEvents source of all events, such as `/incidents`. Producers with the same source must use different
    /// ids.
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

    /// Sets credentials, certificates and timeouts, such as
    /// `ConnectOptions::with_credentials_file("ops-producer.creds").await?`. The producer sets the reconnection policy,
    /// the event callback and the inbox prefix itself.
    #[must_use]
    pub fn options(self, options: ConnectOptions) -> Self {
        Self { options, ..self }
    }

    /// Sets the prefix of inboxes for answers. The NATS user needs permission to subscribe to `<prefix>.>`. The default
    /// is `_INBOX_<tenant>_producer`, for users that may subscribe to nothing else.
    #[must_use]
    pub fn inbox_prefix(self, prefix: impl Into<String>) -> Self {
        Self { inbox_prefix: Some(prefix.into()), ..self }
    }

    /// Refuses events that the projector would reject by this catalog. Without one, only malformed events are refused.
    #[must_use]
    pub fn catalog(self, catalog: Catalog) -> Self {
        Self { catalog: Some(catalog), ..self }
    }

    /// Sets the maximum number of events that are waiting or in flight, at least 1. The default is 10,000.
    #[must_use]
    pub fn buffer(self, events: usize) -> Self {
        Self { buffer: events.clamp(1, tokio::sync::Semaphore::MAX_PERMITS), ..self }
    }

    /// Sets the maximum number of events in flight, 1 to 4,096. The default is 256.
    #[must_use]
    pub fn in_flight(self, events: usize) -> Self {
        Self { in_flight: events.clamp(1, 4_096), ..self }
    }

    /// Sets the largest event, in bytes: `projector.max_event_bytes`. The default is 1 MiB.
    #[must_use]
    pub fn max_event_bytes(self, bytes: usize) -> Self {
        Self { max_event_bytes: bytes, ..self }
    }

    /// Sets how long to wait for an answer of NATS before the event is sent again. The default is 5 seconds.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

impl fmt::Debug for Settings {
    /// Omits the options, which contain secrets.
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
