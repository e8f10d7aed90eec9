//! Starting a projector, and ending it.

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
/// How often it is looked whether the streams are there.
const LOOK: Duration = Duration::from_secs(1);
/// After how long without an answer there is no service.
const SILENCE: Duration = Duration::from_secs(2);
/// How long NATS may be away while a projector starts, before the process ends and says why.
const PATIENCE_AT_START: Duration = Duration::from_secs(30);
/// The largest message, with its headers, must fit into one NATS message.
const LEAST_MAX_PAYLOAD: usize = 256 * 1024;

/// How the projector works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the durable consumer, the same for all projectors of a shard; those of other shards add theirs.
    pub consumer: String,
    /// Events and envelopes under way at once.
    pub in_flight: usize,
    /// Larger events are rejected.
    pub max_event_bytes: usize,
    /// Whose envelopes it writes.
    pub shard: ShardNumber,
    /// The shards of tenants who were never placed; all others are in the first one.
    pub shards: BTreeMap<Tenant, ShardNumber>,
}

/// Projects until it is cancelled. Faults of NATS are waited out. Each event is projected with the catalogs that the
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
    // It may be dropped at any point: what is not confirmed is not acknowledged either.
    cancelled.run_until_cancelled(Box::pin(work)).await;
    Box::pin(engine.finish()).await;
    Ok(())
}

/// Opens the engine. A fault of NATS is waited out here, too; one that lasts is told, as it may be one of settings.
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

/// Creates streams again that are gone, and says when there is no service and when there is again.
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
    /// Messages would not fit.
    #[error(
        "NATS takes messages of {0} bytes; Tidings needs at least {LEAST_MAX_PAYLOAD}: raise `max_payload` in its \
         configuration, or `max_msg_size` of stream ENVELOPES"
    )]
    MaxPayload(usize),
    /// The shard's stream is not as it should be.
    #[error("the projector cannot use its shard's stream")]
    Topology(#[from] TopologyError),
    /// It is not known who lives in this shard.
    #[error("the projector cannot find out whose envelopes it writes")]
    Placement(#[from] PlacementError),
    /// The durable consumer is not to be had.
    #[error("the projector cannot read events")]
    Reader(#[from] ReaderError),
    /// The state of `ENVELOPES` cannot be read.
    #[error("the projector cannot see what others have written")]
    Extent(#[from] ExtentError),
    /// What is held back cannot be found.
    #[error("the projector cannot find what is held back")]
    Past(#[from] QueryError),
    /// It is not known which events came again.
    #[error("the projector cannot find out which events came again")]
    Recall(#[from] RecallError),
    /// The end of `ENVELOPES` cannot be read.
    #[error("the projector cannot take up writing")]
    Writer(#[from] WriteError),
}

impl ProjectorError {
    /// Whether it may be otherwise a moment later.
    fn may_pass(&self) -> bool {
        match self {
            Self::MaxPayload(_) => false,
            Self::Topology(error) => error.may_pass() || matches!(error, TopologyError::Create { .. }),
            Self::Reader(error) => error.may_pass(),
            _ => true,
        }
    }
}
