//! Starts, runs and ends a dispatcher: it dispatches while its lease lasts, and stands by when another one leads.

use std::sync::Arc;
use std::time::Duration;

use tidings_model::ShardNumber;
use tidings_streams::{Candidate, Lease, Outage, Retry, Topology, is_at_end};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::deliver::Deliverer;
use crate::error::DispatcherError;
use crate::metrics::DispatcherFigures;
use crate::parts::Parts;
use crate::schedule::schedule;
use crate::senders::send;

/// How often the stream is checked.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks it is counted what waits.
const WAITING_LOOKS: u64 = 10;
/// How long NATS may be silent before an outage is reported.
const SILENCE: Duration = Duration::from_secs(2);

/// Dispatches until it is cancelled. Waits while NATS is away.
pub async fn run(
    topology: Topology,
    parts: Parts,
    cancelled: CancellationToken,
) -> Result<(), DispatcherError> {
    let Some(opened) = cancelled.run_until_cancelled(open(&topology, parts.shard)).await else {
        return Ok(());
    };
    let (topology, candidate, lease) = opened?;
    let figures = Arc::new(DispatcherFigures::new(parts.shard));
    parts.registry.register(&figures);
    let parts = Arc::new(parts);
    let given_back = CancellationToken::new();
    let keeping = tokio::spawn(candidate.run(given_back.clone().cancelled_owned()));
    let keeping = AbortOnDropHandle::new(keeping);
    let restoring = cancelled.run_until_cancelled(keep_streams(&parts));
    tokio::join!(lead(&topology, (&parts, &figures), lease, &cancelled), restoring);
    given_back.cancel();
    if let Err(error) = keeping.await {
        tracing::error!(%error, "the lease was not given back");
    }
    Ok(())
}

/// Opens the shard's stream and the candidate's bucket. Waits until a projector has made them.
async fn open(
    topology: &Topology,
    shard: ShardNumber,
) -> Result<(Topology, Candidate, Lease), DispatcherError> {
    let mut retry = Retry::to("open the shard's stream");
    loop {
        let opening = async {
            let topology = topology.on(shard).await?;
            let (candidate, lease) = Candidate::for_dispatcher(&topology).await?;
            Ok((topology, candidate, lease))
        };
        match opening.await {
            Err(DispatcherError::Topology(error)) if error.may_pass() => retry.failed(&error),
            opened => return opened,
        }
        retry.wait().await;
    }
}

/// Dispatches in each term of its own until it is cancelled.
async fn lead(
    topology: &Topology,
    (parts, figures): (&Arc<Parts>, &Arc<DispatcherFigures>),
    mut lease: Lease,
    cancelled: &CancellationToken,
) {
    while !cancelled.is_cancelled() {
        let Some(term) = lease.term() else {
            cancelled.run_until_cancelled(lease.changed()).await;
            continue;
        };
        let deliverer = Deliverer {
            topology: topology.clone(),
            parts: Arc::clone(parts),
            figures: Arc::clone(figures),
            lease: lease.clone(),
            term,
            tenants: watch::Sender::default(),
        };
        figures.took_over();
        let scheduling = cancelled.run_until_cancelled(schedule(topology, parts, figures));
        let looking = cancelled.run_until_cancelled(keep_figures(&deliverer));
        // Attempts under way end with the term: another dispatcher may repeat them by now.
        tokio::select! {
            _ = async { tokio::join!(scheduling, looking, send(&deliverer, cancelled)) } => {}
            () = ended(&mut lease, term) => {}
        }
        figures.stands_by();
    }
}

/// Waits until this process does not lead in this term any more.
async fn ended(lease: &mut Lease, term: u64) {
    while lease.term() == Some(term) {
        lease.changed().await;
    }
}

/// Looks how much is left to do, for those who ask for figures.
async fn keep_figures(deliverer: &Deliverer) {
    let Deliverer { topology, parts, figures, .. } = deliverer;
    let mut looks = 0;
    loop {
        if let Ok(extent) = topology.extent().await {
            let read = figures.read();
            // What lay at the end may be removed.
            let is_at_end = read < extent.last && matches!(is_at_end(topology, read).await, Ok(true));
            figures.look(if is_at_end { extent.last } else { read }, extent.last);
        }
        let tenants = deliverer.tenants.borrow().clone();
        if looks % WAITING_LOOKS == 0
            && let Ok(waiting) = parts.deliveries.count_waiting(&tenants).await
        {
            figures.waiting(waiting);
        }
        looks += 1;
        tokio::time::sleep(LOOK).await;
    }
}

/// Creates the stream of deliveries and the buckets again if they are missing, and logs when an outage begins and ends.
async fn keep_streams(parts: &Parts) {
    let mut outage = Outage::new("dispatcher");
    loop {
        tokio::time::sleep(LOOK).await;
        let restoring = async {
            parts.deliveries.restore().await?;
            parts.users.check().await?;
            parts.preferences.check().await
        };
        match tokio::time::timeout(SILENCE, restoring).await {
            Ok(Ok(())) => outage.end(),
            Ok(Err(error)) => outage.begin(&error, Duration::ZERO),
            Err(elapsed) => outage.begin(&elapsed, SILENCE),
        }
    }
}
