//! Ensures one writer at a time for a JetStream consumer.
//!
//! A reset of a JetStream consumer cannot be conditional, so between reading a position and moving it forward no other
//! gateway may move it. A lease is a key of the bucket `CONSUMER_LEASES` that only one writer can create, and that
//! expires when its holder dies. Work under a lease is stopped well before that.

use std::future::Future;
use std::time::Duration;

use async_nats::jetstream::Context;
use bytes::Bytes;

use super::contention::Contention;
use super::{ConsumerName, ConsumerSettings, ConsumerStoreError};
use crate::nats::{Bucket, BucketSettings, Missing, Purpose, TopologyError};

const LEASE: Duration = Duration::from_secs(5);
const LONGEST_WORK: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
pub(super) struct Leases {
    bucket: Bucket,
}

impl Leases {
    pub(super) async fn open(context: &Context, settings: &ConsumerSettings) -> Result<Self, TopologyError> {
        // Leases may be lost in a restart of the server, which also ends the work under them.
        let settings = BucketSettings { in_memory: true, ..settings.bucket() };
        let description = "Tidings: who is writing a JetStream consumer";
        let purpose = Purpose { name: "CONSUMER_LEASES", description };
        let bucket = Bucket::open(context, purpose, Some(LEASE), settings, Missing::Created).await?;
        Ok(Self { bucket })
    }

    /// Recreates the bucket if it has disappeared; lost leases do no harm.
    pub(super) async fn check(&self) -> Result<bool, ConsumerStoreError> {
        let restored = self.bucket.restore().await.map(|_| false);
        restored.map_err(|error| ConsumerStoreError::unavailable("look up the bucket CONSUMER_LEASES", error))
    }

    /// Does the work while no other gateway works on this consumer.
    pub(super) async fn alone<T>(
        &self,
        name: &ConsumerName,
        work: impl Future<Output = Result<T, ConsumerStoreError>> + Send,
    ) -> Result<T, ConsumerStoreError> {
        let lease = self.acquire(name).await?;
        let outcome = tokio::time::timeout(LONGEST_WORK, work).await;
        self.release(lease).await;
        outcome.unwrap_or_else(|late| {
            Err(ConsumerStoreError::unavailable(
                format!("write consumer {name} within {LONGEST_WORK:?}"),
                late,
            ))
        })
    }

    async fn acquire(&self, name: &ConsumerName) -> Result<u64, ConsumerStoreError> {
        let mut contention = Contention::over(name);
        loop {
            let written = self.bucket.write(&name.to_key(), Bytes::new(), 0).await;
            let failed = |error| ConsumerStoreError::unavailable(format!("lease consumer {name}"), error);
            if let Some(lease) = written.map_err(failed)? {
                return Ok(lease);
            }
            contention.pause().await?;
        }
    }

    /// Ends this very lease: after an expired one there may be a lease of another writer.
    async fn release(&self, lease: u64) {
        if let Err(error) = self.bucket.stream.delete_message(lease).await {
            tracing::debug!(%error, "cannot give a lease back; it will expire");
        }
    }
}
