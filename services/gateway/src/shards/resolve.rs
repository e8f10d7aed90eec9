//! Finding the shard of a tenant, and where a returning consumer resumes in it. Waits while a tenant is being moved.

use std::sync::Arc;
use std::time::Duration;

use tidings_model::{Position, ShardNumber, Tenant};
use tidings_replica::{Replica, ResumeError, ResumePoint};
use tokio::sync::watch;

use super::manager::Shards;

/// How long to wait before the next attempt.
const RETRY: Duration = Duration::from_millis(50);

/// The shard that serves a tenant.
pub(crate) async fn find_shard(
    shards: &watch::Receiver<Arc<Shards>>,
    tenant: &Tenant,
) -> Result<(ShardNumber, Arc<Replica>), ResumeError> {
    loop {
        if shards.borrow().is_lost(tenant) {
            return Err(ResumeError::Lost);
        }
        let found = shards.borrow().of(tenant).map(|(number, replica)| (number, Arc::clone(replica)));
        if let Some((number, replica)) = found
            && replica.holds(tenant)
        {
            return Ok((number, replica));
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// The shard of a tenant, and where a consumer resumes that has read up to `position`, which may belong to an earlier
/// generation or another shard. Waits while this gateway has not read as far as the tenant's envelopes.
pub(crate) async fn resume(
    shards: &watch::Receiver<Arc<Shards>>,
    tenant: &Tenant,
    position: Position,
) -> Result<(ShardNumber, Arc<Replica>, ResumePoint), ResumeError> {
    loop {
        let (number, replica) = find_shard(shards, tenant).await?;
        if let Some(resume) = replica.resume(tenant, position).await? {
            return Ok((number, replica, resume));
        }
        tokio::time::sleep(RETRY).await;
    }
}
