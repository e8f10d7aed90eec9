//! Whether newcomers can be served now, and why not: what `/readyz` says, and what a handshake is answered at once.
//!
//! A newcomer needs its position, and somebody to read on from there: the connection to NATS, the streams of envelopes, and
//! the buckets. All of them are asked again and again; what is missing and is the gateway's own is created again. Those who
//! are connected already are not touched by any of this.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use tidings_streams::consumers::ConsumerStoreError;
use tidings_streams::{ExtentError, Outage, PlacementError, TopologyError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::respond::unavailable;
use crate::context::Shared;
use crate::shards::Lanes;

/// How often everything is asked.
const LOOK: Duration = Duration::from_millis(500);
/// After how long without an answer newcomers are not kept waiting for it.
const SILENCE: Duration = Duration::from_secs(1);

/// Why newcomers cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    code: &'static str,
    reason: String,
}

impl Trouble {
    /// The gateway has not come so far yet.
    pub(crate) fn starting(reason: String) -> Self {
        Self { code: "STARTING", reason }
    }

    fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { code: "UNAVAILABLE", reason: chain(error) }
    }

    /// The answer to whoever comes now.
    pub(crate) fn response(&self) -> Response {
        unavailable(self.code, &self.reason)
    }
}

/// An error and its sources, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    causes.map(ToString::to_string).fold(error.to_string(), |line, cause| {
        if line.ends_with(&cause) { line } else { format!("{line}: {cause}") }
    })
}

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct Readiness(watch::Sender<Option<Trouble>>);

impl Readiness {
    /// Why newcomers cannot be served now, if that is so.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.0.borrow().clone()
    }

    /// Waits until newcomers cannot be served.
    pub(crate) async fn lost(&self) -> Trouble {
        let mut trouble = self.0.subscribe();
        let found = trouble.wait_for(Option::is_some).await.ok().and_then(|trouble| trouble.clone());
        match found {
            Some(trouble) => trouble,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn set(&self, trouble: Option<Trouble>) {
        self.0.send_if_modified(|known| {
            let is_new = *known != trouble;
            *known = trouble;
            is_new
        });
    }
}

/// Asks everything that newcomers need, until cancelled.
pub(crate) async fn keep(
    shared: &Shared,
    lanes: &watch::Receiver<Arc<Lanes>>,
    cancelled: &CancellationToken,
) {
    let watching = async {
        let mut outage = Outage::new("gateway");
        loop {
            look(shared, lanes, &mut outage).await;
            tokio::time::sleep(LOOK).await;
        }
    };
    cancelled.run_until_cancelled(watching).await;
}

async fn look(shared: &Shared, lanes: &watch::Receiver<Arc<Lanes>>, outage: &mut Outage) {
    let mut checking = std::pin::pin!(check(shared, lanes));
    let checked = match tokio::time::timeout(SILENCE, &mut checking).await {
        Ok(checked) => checked,
        Err(_elapsed) => {
            let silent = Unready::Silent;
            shared.readiness.set(Some(Trouble::unavailable(&silent)));
            outage.begin(&silent, SILENCE);
            checking.await
        }
    };
    match checked {
        Ok(()) => {
            shared.readiness.set(None);
            outage.end();
        }
        Err(error) => {
            shared.readiness.set(Some(Trouble::unavailable(&error)));
            outage.begin(&error, Duration::ZERO);
        }
    }
}

async fn check(shared: &Shared, lanes: &watch::Receiver<Arc<Lanes>>) -> Result<(), Unready> {
    if !shared.topology.is_connected() {
        return Err(Unready::Disconnected);
    }
    shared.positions.check().await?;
    shared.users.store().check().await?;
    shared.topology.placements().revision().await?;
    let lanes = Arc::clone(&lanes.borrow());
    for lane in lanes.lanes() {
        lane.topology.extent().await?;
    }
    Ok(())
}

/// What newcomers need and is not there.
#[derive(Debug, thiserror::Error)]
enum Unready {
    #[error("the gateway has no connection to NATS")]
    Disconnected,
    #[error("NATS does not answer the gateway")]
    Silent,
    #[error(transparent)]
    Consumers(#[from] ConsumerStoreError),
    #[error(transparent)]
    Users(#[from] TopologyError),
    #[error(transparent)]
    Placements(#[from] PlacementError),
    #[error(transparent)]
    Envelopes(#[from] ExtentError),
}
