//! One writer at a time for a JetStream consumer.
//!
//! JetStream moves a consumer wherever it is told to, with no condition attached, so between reading
//! a position and moving it forward another gateway must not move it. A lease is a key of the
//! bucket `CONSUMER_LEASES` that only one writer can create, and that disappears by itself when
//! its holder dies. Work under a lease ends well before that, finished or not.

use std::future::Future;
use std::time::Duration;

use async_nats::jetstream::Context;
use bytes::Bytes;

use super::contention::Contention;
use super::{ConsumerName, ConsumerSettings, ConsumerStoreError};
use crate::bucket::{Bucket, BucketSettings, Purpose};
use crate::topology::{Missing, TopologyError};

const LEASE: Duration = Duration::from_secs(5);
const LONGEST_WORK: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
pub(super) struct Leases {
    bucket: Bucket,
}

impl Leases {
    pub(super) async fn open(context: &Context, settings: &ConsumerSettings) -> Result<Self, TopologyError> {
        // Nobody misses a lease after a restart of the server, which ended the work under it.
        let settings = BucketSettings { in_memory: true, ..settings.bucket() };
        let description = "Tidings: who is writing a JetStream consumer";
        let purpose = Purpose { name: "CONSUMER_LEASES", description };
        let bucket = Bucket::open(context, purpose, Some(LEASE), settings, Missing::Created).await?;
        Ok(Self { bucket })
    }

    /// Creates the bucket again if it is gone; nobody misses a lease.
    pub(super) async fn check(&self) -> Result<bool, ConsumerStoreError> {
        let restored = self.bucket.restore().await.map(|_| false);
        restored.map_err(|error| ConsumerStoreError::unavailable("look up the bucket CONSUMER_LEASES", error))
    }

    /// Does the work while no other gateway does work on this consumer.
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

    /// Ends this very lease: one that has expired may have been followed by another writer's.
    async fn release(&self, lease: u64) {
        if let Err(error) = self.bucket.stream.delete_message(lease).await {
            tracing::debug!(%error, "could not give a lease back; it expires");
        }
    }
}
