//! Figures of a connection to NATS.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use async_nats::{Event, ServerError, Statistics};
use tidings_metrics::{Counter, Gauge, Snapshot, Source};

tidings_metrics::declare! {
    /// What is counted of each connection to NATS.
    pub METRICS {
        CONNECTED: Gauge "tidings_nats_connected" []
            "Connections to NATS that are up: 1 in a gateway or projector, 0 while it reconnects.",
        RECONNECTS: Counter "tidings_nats_reconnects_total" []
            "How often a lost connection to NATS was made again.",
        ERRORS: Counter "tidings_nats_errors_total" ["kind"]
            "Errors that NATS or its client reported outside of a request, by `kind`: `permission` (denied to this user), \
             `server`, `client`, `slow_consumer` (messages were lost).",
        RECEIVED: Counter "tidings_nats_received_bytes_total" [] "Bytes that came from NATS.",
        SENT: Counter "tidings_nats_sent_bytes_total" [] "Bytes that went to NATS.",
    }
}

/// Figures of a connection to NATS.
#[derive(Debug, Default)]
pub struct ConnectionFigures {
    up: Gauge,
    connects: Counter,
    permission: Counter,
    server: Counter,
    client: Counter,
    slow_consumer: Counter,
    statistics: OnceLock<Arc<Statistics>>,
}

impl ConnectionFigures {
    pub(super) fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.up.set(1);
                self.connects.increment();
            }
            Event::Disconnected | Event::Closed => self.up.set(0),
            Event::ServerError(ServerError::Other(error)) if is_permission(error) => {
                self.permission.increment();
            }
            Event::ServerError(_) => self.server.increment(),
            Event::ClientError(_) => self.client.increment(),
            Event::SlowConsumer(_) => self.slow_consumer.increment(),
            Event::LameDuckMode | Event::Draining => {}
        }
    }

    /// The connection has been made, and these are the client's own figures.
    pub(super) fn began(&self, statistics: Arc<Statistics>) {
        // There is one client for each connection.
        let _ = self.statistics.set(statistics);
    }
}

/// The wording of nats-server.
pub(super) fn is_permission(error: &str) -> bool {
    error.trim_start_matches('\'').to_ascii_lowercase().starts_with("permissions violation")
}

impl Source for ConnectionFigures {
    fn collect(&self, snapshot: &mut Snapshot) {
        snapshot.count(&CONNECTED, &[], self.up.get());
        snapshot.count(&RECONNECTS, &[], self.connects.get().saturating_sub(1));
        let kinds = [
            ("permission", &self.permission),
            ("server", &self.server),
            ("client", &self.client),
            ("slow_consumer", &self.slow_consumer),
        ];
        for (kind, counter) in kinds {
            snapshot.count(&ERRORS, &[kind], counter.get());
        }
        if let Some(statistics) = self.statistics.get() {
            snapshot.count(&RECEIVED, &[], statistics.in_bytes.load(Ordering::Relaxed));
            snapshot.count(&SENT, &[], statistics.out_bytes.load(Ordering::Relaxed));
        }
    }
}
