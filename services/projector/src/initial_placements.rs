//! Initial placements: the configuration places tenants without a record; afterwards the record counts.

use std::collections::BTreeMap;

use tidings_model::{Placement, ShardNumber, Tenant};
use tidings_streams::{AllPlacements, Topology, last_of_generation};

use crate::error::ProjectorError;

/// Records the shards of tenants that the configuration places outside shard 0, and warns where the configuration
/// differs from the record. A projector does so when it starts; before that, gateways take these tenants to be in
/// shard 0.
pub async fn place_initially(
    topology: &Topology,
    configured: &BTreeMap<Tenant, ShardNumber>,
) -> Result<(), ProjectorError> {
    let AllPlacements { placements: recorded, unreadable } = topology.placements().all().await?;
    for (tenant, &wanted) in configured.iter().filter(|(tenant, _)| !unreadable.contains(*tenant)) {
        let shard = match recorded.get(tenant) {
            Some(placement) => placement.current.place.shard,
            None => record_first(topology, tenant, wanted).await?,
        };
        let is_moving = |placement: &Placement| {
            placement.next.as_ref().is_some_and(|rebuild| rebuild.place.shard == wanted)
        };
        if shard != wanted && !recorded.get(tenant).is_some_and(is_moving) {
            tracing::warn!(
                %tenant, %shard, configured = %wanted,
                "the tenant stays in the shard where its envelopes are; \
                 `tidings projector move --tenant {tenant} --to {wanted}` moves it"
            );
        }
    }
    Ok(())
}

/// Records and returns the tenant's shard. A tenant that has envelopes in shard 0 was there before it was configured
/// otherwise.
async fn record_first(
    topology: &Topology,
    tenant: &Tenant,
    wanted: ShardNumber,
) -> Result<ShardNumber, ProjectorError> {
    let first = topology.on(ShardNumber::default()).await?;
    if wanted == first.shard() {
        return Ok(wanted);
    }
    let was_there = last_of_generation(&first, tenant, 0).await?.is_some();
    let shard = if was_there { first.shard() } else { wanted };
    let recorded = topology.placements().change(tenant, shard, |_| {}).await?;
    Ok(recorded.current.place.shard)
}
