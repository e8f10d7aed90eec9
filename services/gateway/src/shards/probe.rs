//! Checks again and again whether new connections can be served.
//!
//! A new connection needs its position, and a stream to read from: the connection to NATS, the streams of envelopes, and
//! the buckets. What is missing and belongs to the gateway is created again. Open connections are not affected.

use std::sync::Arc;
use std::time::Duration;

use tidings_streams::consumers::ConsumerStoreError;
use tidings_streams::{ExtentError, Outage, PlacementError, TopologyError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Shards;
use crate::context::Context;
use crate::error::{ApiCode, ApiError, one_line};

/// How often everything is checked.
const LOOK: Duration = Duration::from_millis(500);
/// How often is checked what no client needs.
const RARE_LOOK: Duration = Duration::from_secs(2);
/// After how long without an answer new connections are not kept waiting for it.
const SILENCE: Duration = Duration::from_secs(1);

/// Keeps the gateway's readiness up to date until cancelled.
pub(crate) async fn watch_readiness(
    context: &Context,
    shards: &watch::Receiver<Arc<Shards>>,
    cancelled: &CancellationToken,
) {
    let watching = async {
        let mut outage = Outage::new("gateway");
        loop {
            look(context, shards, &mut outage).await;
            tokio::time::sleep(LOOK).await;
        }
    };
    let both = async { tokio::join!(watching, keep_other_buckets(context)) };
    cancelled.run_until_cancelled(Box::pin(both)).await;
}

/// Creates the buckets again that no connection needs. A fault of theirs keeps no client away.
async fn keep_other_buckets(context: &Context) {
    loop {
        let checks = [
            context.authenticator.keys().check().await,
            context.receipts.check().await,
            context.preferences.check().await,
            context.contacts.check().await,
        ];
        for checked in checks {
            if let Err(error) = checked
                && let Some(times) = context.receipt_faults.count(1)
            {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, times, "a bucket that connections do not need is not available");
            }
        }
        tokio::time::sleep(RARE_LOOK).await;
    }
}

async fn look(context: &Context, shards: &watch::Receiver<Arc<Shards>>, outage: &mut Outage) {
    let mut checking = std::pin::pin!(check(context, shards));
    let checked = match tokio::time::timeout(SILENCE, &mut checking).await {
        Ok(checked) => checked,
        Err(_elapsed) => {
            let silent = Unready::Silent;
            context.readiness.set(Some(unavailable(&silent)));
            outage.begin(&silent, SILENCE);
            checking.await
        }
    };
    match checked {
        Ok(()) => {
            context.readiness.set(None);
            outage.end();
        }
        Err(error) => {
            context.readiness.set(Some(unavailable(&error)));
            outage.begin(&error, Duration::ZERO);
        }
    }
}

fn unavailable(error: &Unready) -> ApiError {
    ApiError::new(ApiCode::Unavailable, one_line(error))
}

async fn check(context: &Context, shards: &watch::Receiver<Arc<Shards>>) -> Result<(), Unready> {
    if !context.topology.is_connected() {
        return Err(Unready::Disconnected);
    }
    context.consumers.check().await?;
    context.authenticator.users().check().await?;
    context.topology.placements().revision().await?;
    let shards = Arc::clone(&shards.borrow());
    for replica in shards.replicas() {
        replica.topology().extent().await?;
    }
    Ok(())
}

/// What new connections need and is not there.
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
