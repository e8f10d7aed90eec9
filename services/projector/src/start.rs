//! Starts, runs and ends a projector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::Catalogs;
use tidings_model::{ShardNumber, Tenant};
use tidings_streams::{
    ExtentError, Outage, PlacementError, QueryError, ReaderError, Topology, TopologyError, WriteError,
};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::dedup::RecallError;
use crate::engine::Engine;
use crate::initial_placements;

/// How long to wait before NATS is asked again.
const RETRY: Duration = Duration::from_millis(250);
/// How often the streams are checked.
const LOOK: Duration = Duration::from_secs(1);
/// How long NATS may be silent before an outage is reported.
const SILENCE: Duration = Duration::from_secs(2);
/// How long NATS may be away while a projector starts, before the process ends with an error.
const PATIENCE_AT_START: Duration = Duration::from_secs(30);
/// The largest message, with its headers, must fit into one NATS message.
const LEAST_MAX_PAYLOAD: usize = 256 * 1024;

/// Settings of a projector.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the durable consumer, the same for all projectors of a shard; shards other than 0 append their
    /// number.
    pub consumer: String,
    /// The largest number of events and envelopes in flight.
    pub in_flight: usize,
    /// Larger events are rejected.
    pub max_event_bytes: usize,
    /// The shard that it writes.
    pub shard: ShardNumber,
    /// The configured shards of tenants without a record; all others are in shard 0.
    pub shards: BTreeMap<Tenant, ShardNumber>,
}

/// Projects until it is cancelled. Waits while NATS is away. Each event is projected with the catalogs that the
/// channel holds when it is read.
pub async fn run(
    topology: Topology,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    settings: Settings,
    clock: fn() -> OffsetDateTime,
    cancelled: CancellationToken,
) -> Result<(), ProjectorError> {
    let starting = Box::pin(start(topology, catalogs, settings, clock));
    let Some(engine) = cancelled.run_until_cancelled(starting).await else { return Ok(()) };
    let (mut engine, streams) = engine?;
    let work = async {
        tokio::select! {
            () = engine.work() => {}
            () = keep_streams(&streams) => {}
        }
    };
    // The work may be dropped at any point: what is not confirmed is not acknowledged either.
    cancelled.run_until_cancelled(Box::pin(work)).await;
    Box::pin(engine.finish()).await;
    Ok(())
}

/// Opens the engine. Waits while NATS is away; a lasting fault is returned, as the settings may be its cause.
async fn start(
    topology: Topology,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    settings: Settings,
    clock: fn() -> OffsetDateTime,
) -> Result<(Engine, Topology), ProjectorError> {
    let patience_ends = Instant::now() + PATIENCE_AT_START;
    loop {
        let opening = open(&topology, catalogs.clone(), settings.clone(), clock);
        match opening.await {
            Err(error) if error.may_pass() && Instant::now() < patience_ends => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the projector starts later");
                tokio::time::sleep(RETRY).await;
            }
            opened => return opened,
        }
    }
}

async fn open(
    topology: &Topology,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    settings: Settings,
    clock: fn() -> OffsetDateTime,
) -> Result<(Engine, Topology), ProjectorError> {
    let topology = topology.on(settings.shard).await?;
    let max_payload = topology.max_payload();
    if max_payload < LEAST_MAX_PAYLOAD {
        return Err(ProjectorError::MaxPayload(max_payload));
    }
    initial_placements::place_initially(&topology, &settings.shards).await?;
    let streams = topology.clone();
    Ok((Engine::open(topology, catalogs, settings, clock).await?, streams))
}

/// Creates missing streams again, and logs when an outage begins and ends.
async fn keep_streams(topology: &Topology) {
    let mut outage = Outage::new("projector");
    loop {
        tokio::time::sleep(LOOK).await;
        let looking = tokio::time::timeout(SILENCE, topology.restore());
        match looking.await {
            Ok(Ok(())) => outage.end(),
            Ok(Err(error)) => outage.begin(&error, Duration::ZERO),
            Err(elapsed) => outage.begin(&elapsed, SILENCE),
        }
    }
}

/// Why the projector cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The largest message does not fit.
    #[error(
        "NATS takes messages of {0} bytes; Tidings needs at least {LEAST_MAX_PAYLOAD}: raise `max_payload` in its \
         configuration, or `max_msg_size` of stream ENVELOPES"
    )]
    MaxPayload(usize),
    /// The shard's stream is not as required.
    #[error("the projector cannot use its shard's stream")]
    Topology(#[from] TopologyError),
    /// The tenants of this shard cannot be determined.
    #[error("the projector cannot determine the tenants of its shard")]
    Placement(#[from] PlacementError),
    /// The durable consumer cannot be opened.
    #[error("the projector cannot read events")]
    Reader(#[from] ReaderError),
    /// The state of `ENVELOPES` cannot be read.
    #[error("the projector cannot read the state of stream ENVELOPES")]
    Extent(#[from] ExtentError),
    /// The held envelopes cannot be found.
    #[error("the projector cannot find the held envelopes")]
    Past(#[from] QueryError),
    /// Repeated events cannot be determined.
    #[error("the projector cannot determine which events are repetitions")]
    Recall(#[from] RecallError),
    /// The end of `ENVELOPES` cannot be read.
    #[error("the projector cannot start writing")]
    Writer(#[from] WriteError),
}

impl ProjectorError {
    /// Whether the error may pass by itself.
    fn may_pass(&self) -> bool {
        match self {
            Self::MaxPayload(_) => false,
            Self::Topology(error) => error.may_pass() || matches!(error, TopologyError::Create { .. }),
            Self::Reader(error) => error.may_pass(),
            _ => true,
        }
    }
}
