//! Starts, runs and ends a projector.

use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::Catalogs;
use tidings_metrics::Registry;
use tidings_streams::{Outage, Retry, Topology, answer_pings};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::ProjectorError;
use crate::initial_placements;
use crate::metrics::ProjectorFigures;
use crate::settings::Settings;

/// How often the streams are checked.
const LOOK: Duration = Duration::from_secs(1);
/// How long NATS may be silent before an outage is reported.
const SILENCE: Duration = Duration::from_secs(2);
/// How long NATS may be away while a projector starts, before the process ends with an error.
const PATIENCE_AT_START: Duration = Duration::from_secs(30);

/// Projects until it is cancelled. Waits while NATS is away. Each event is projected with the catalogs that the
/// channel holds when it is read. Its figures are in the registry.
pub async fn run(
    topology: Topology,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    settings: Settings,
    clock: fn() -> OffsetDateTime,
    registry: Registry,
    cancelled: CancellationToken,
) -> Result<(), ProjectorError> {
    let figures = Arc::new(ProjectorFigures::new(settings.shard));
    registry.register(&figures);
    let starting = Box::pin(start(topology, catalogs, settings, clock, &figures));
    let Some(engine) = cancelled.run_until_cancelled(starting).await else { return Ok(()) };
    let (mut engine, streams) = engine?;
    let work = async {
        tokio::select! {
            () = engine.work() => {}
            () = keep_streams(&streams, &figures) => {}
            () = answer_pings(&streams) => {}
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
    figures: &Arc<ProjectorFigures>,
) -> Result<(Engine, Topology), ProjectorError> {
    let patience_ends = Instant::now() + PATIENCE_AT_START;
    let mut retry = Retry::to("start the projector");
    let is_final = |error: &ProjectorError| !error.may_pass() || Instant::now() >= patience_ends;
    loop {
        let opened = open(&topology, catalogs.clone(), settings.clone(), clock, figures).await;
        if let Some(opened) = Box::pin(retry.settled(opened, is_final)).await {
            return opened;
        }
    }
}

async fn open(
    topology: &Topology,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    settings: Settings,
    clock: fn() -> OffsetDateTime,
    figures: &Arc<ProjectorFigures>,
) -> Result<(Engine, Topology), ProjectorError> {
    let topology = topology.on(settings.shard).await?;
    ProjectorError::check_max_payload(topology.max_payload())?;
    initial_placements::place_initially(&topology, &settings.shards).await?;
    let streams = topology.clone();
    Ok((Engine::open(topology, catalogs, settings, clock, Arc::clone(figures)).await?, streams))
}

/// Creates missing streams again, logs when an outage begins and ends, and looks how much is left to project.
async fn keep_streams(topology: &Topology, figures: &ProjectorFigures) {
    let mut outage = Outage::new("projector");
    loop {
        tokio::time::sleep(LOOK).await;
        let looking = tokio::time::timeout(SILENCE, topology.restore());
        match looking.await {
            Ok(Ok(())) => outage.end(),
            Ok(Err(error)) => outage.begin(&error, Duration::ZERO),
            Err(elapsed) => outage.begin(&elapsed, SILENCE),
        }
        if figures.leads()
            && let Ok(Ok(last)) = tokio::time::timeout(SILENCE, topology.last_event()).await
        {
            figures.end_of_events(last);
        }
    }
}
