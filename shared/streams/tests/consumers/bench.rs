//! A nats-server with the streams, stores on it, and bounded waiting.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tempfile::TempDir;
use tidings_embedded::{NatsServer, Options};
use tidings_model::{Epoch, PlacedPosition, Position, Tenant};
use tidings_streams::consumers::{
    Change, ConsumerName, ConsumerSettings, ConsumerStore, JetStreamConsumers, KvConsumers, Presence,
    StoredConsumer,
};
use tidings_streams::{Settings, Topology};
use tokio::time::{Instant, sleep};

/// For operations that take milliseconds on an idle machine.
pub(crate) const BOUND: Duration = Duration::from_secs(30);
pub(crate) const NOW: u64 = 1_800_000_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The kind of store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Kv,
    JetStream,
}

pub(crate) struct Bench {
    // Declared first, so that the server stops before its folder is removed.
    pub(crate) server: NatsServer,
    _folder: TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    pub(crate) async fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = NatsServer::start(Options::new(folder.path()).config(config)).await.unwrap();
        Self { server, _folder: folder }
    }

    pub(crate) async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.server.url()).await.unwrap()
    }

    /// The streams; created if they are missing.
    pub(crate) async fn topology(&self) -> Topology {
        Box::pin(Topology::ensure(&self.client().await, &stream_settings())).await.unwrap()
    }

    /// A store with its own connection, as each gateway has one.
    pub(crate) async fn store(&self, kind: Kind) -> Arc<dyn ConsumerStore> {
        self.store_for(kind, 30 * DAY).await
    }

    pub(crate) async fn store_for(&self, kind: Kind, inactive_after: Duration) -> Arc<dyn ConsumerStore> {
        let (topology, settings) = (self.topology().await, settings(inactive_after));
        match kind {
            Kind::Kv => Arc::new(Box::pin(KvConsumers::open(topology.context(), &settings)).await.unwrap()),
            Kind::JetStream => {
                Arc::new(Box::pin(JetStreamConsumers::open(&topology, &settings)).await.unwrap())
            }
        }
    }
}

pub(crate) fn settings(inactive_after: Duration) -> ConsumerSettings {
    ConsumerSettings { replicas: 1, in_memory: false, inactive_after }
}

pub(crate) fn stream_settings() -> Settings {
    Settings::on_one_server(DAY, Duration::from_secs(120))
}

pub(crate) fn tenant() -> Tenant {
    Tenant::parse("ops").unwrap()
}

pub(crate) fn name(user: &str, device: &str) -> ConsumerName {
    ConsumerName::new(tenant(), user, device).unwrap()
}

pub(crate) fn at(sequence: u64) -> Position {
    Position { epoch: Epoch(0x18f3), sequence }
}

/// The same position of a tenant that was never rebuilt or moved.
pub(crate) fn placed(sequence: u64) -> PlacedPosition {
    PlacedPosition { generation: 0, position: at(sequence) }
}

/// The change of a connected device that has acknowledged up to this sequence.
pub(crate) fn acked(sequence: u64) -> Change {
    Change::new(placed(sequence), Presence::Connected("gateway-1".to_owned()), NOW + sequence)
}

/// The change of a device that has left.
pub(crate) fn left(sequence: u64, seen_at: u64) -> Change {
    Change::new(placed(sequence), Presence::Left("gateway-1".to_owned()), seen_at)
}

pub(crate) async fn save(
    store: &Arc<dyn ConsumerStore>,
    name: &ConsumerName,
    change: &Change,
) -> StoredConsumer {
    store.save(name, None, change).await.unwrap()
}

pub(crate) async fn load(store: &Arc<dyn ConsumerStore>, name: &ConsumerName) -> Option<StoredConsumer> {
    store.load(name).await.unwrap()
}

/// The names of the listed consumers, sorted.
pub(crate) async fn listed(store: &Arc<dyn ConsumerStore>, user: Option<&str>) -> Vec<ConsumerName> {
    let all = store.list(&tenant(), user).map_ok(|(name, _)| name);
    let mut names: Vec<_> = all.try_collect().await.unwrap();
    names.sort();
    names
}

/// Probes until the condition holds.
pub(crate) async fn eventually(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !probe().await {
        assert!(Instant::now() < deadline, "not within {BOUND:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
