//! Follows a tenant's consumers.

use tidings_model::Tenant;

use super::{ConsumerName, ConsumerState};
use crate::nats::{Bucket, BucketNews, BucketWatch, Delivered};

/// What a watch returns.
#[derive(Debug)]
pub enum ConsumerNews {
    /// All consumers of the tenant: first of all, and after each fault.
    All(Vec<(ConsumerName, Option<ConsumerState>)>),
    /// One that was written, or removed. One that is removed by a purge of the bucket is missing in the next `All`.
    One(ConsumerName, Option<ConsumerState>),
}

/// Follows a tenant's consumers. One whose record cannot be read is left out.
pub struct ConsumerWatch(BucketWatch<(ConsumerName, Option<ConsumerState>)>);

impl ConsumerWatch {
    pub(super) fn new(bucket: Bucket, tenant: &Tenant) -> Self {
        let keys = ConsumerName::keys_of(tenant, None);
        let read = |key: &str, delivered: &Delivered| {
            let message = &delivered.message;
            let state = super::kv::parse(message.headers.as_ref(), &message.payload).ok()?;
            Some((ConsumerName::from_key(key)?, state))
        };
        Self(BucketWatch::of(bucket, &keys, read))
    }

    /// Returns what comes next. Waits until faults of NATS have passed. Cancel-safe.
    pub async fn next(&mut self) -> ConsumerNews {
        match self.0.next().await {
            BucketNews::All(_, all) => ConsumerNews::All(all),
            BucketNews::One((name, state)) => ConsumerNews::One(name, state),
        }
    }
}
