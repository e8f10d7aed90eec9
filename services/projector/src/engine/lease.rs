//! The lease of the projector that leads, and the task that keeps it.

use tidings_streams::{Candidate, Lease, Topology, TopologyError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The lease and the task that keeps it.
pub(super) struct Leadership {
    lease: Lease,
    stopped: CancellationToken,
    keeping: AbortOnDropHandle<()>,
}

impl Leadership {
    pub(super) async fn open(topology: &Topology) -> Result<Self, TopologyError> {
        let (candidate, lease) = Candidate::open(topology).await?;
        let stopped = CancellationToken::new();
        let running = candidate.run(stopped.clone().cancelled_owned());
        Ok(Self { lease, stopped, keeping: AbortOnDropHandle::new(tokio::spawn(running)) })
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(super) async fn changed(&mut self) {
        self.lease.changed().await;
    }

    /// Lets another projector lead at once.
    pub(super) async fn give_back(&mut self) {
        self.stopped.cancel();
        if let Err(error) = (&mut self.keeping).await {
            tracing::error!(%error, "the lease was not given back");
        }
    }
}
