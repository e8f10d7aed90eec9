//! Purged addresses: their envelopes are not rebuilt.

use std::collections::{BTreeSet, HashMap};

use tidings_model::{Address, Tenant};
use tidings_streams::{Home, Topology, last_purge};
use time::OffsetDateTime;

use crate::failure::Failure;

/// The number of cached addresses; beyond it, NATS is asked again.
const KNOWN: usize = 10_000;

pub(super) struct Purges {
    tenant: Tenant,
    /// The shards with purge notices.
    shards: Vec<Topology>,
    known: HashMap<Address, Option<OffsetDateTime>>,
}

impl Purges {
    /// Opens all shards where the tenant's envelopes are or were.
    pub(super) async fn open(home: &Home, tenant: &Tenant) -> Result<Self, Failure> {
        let numbers: BTreeSet<_> = home.placement.places().map(|place| place.shard).collect();
        let mut shards = Vec::new();
        for shard in numbers {
            let topology = home.topology.on(shard).await?;
            if last_purge(&topology, None).await?.is_some() {
                shards.push(topology);
            }
        }
        Ok(Self { tenant: tenant.clone(), shards, known: HashMap::new() })
    }

    /// Whether an envelope stored at this time for this address was purged.
    pub(super) async fn covers(
        &mut self,
        address: &Address,
        stored_at: OffsetDateTime,
    ) -> Result<bool, Failure> {
        if self.shards.is_empty() {
            return Ok(false);
        }
        let purged_at = match self.known.get(address) {
            Some(purged_at) => *purged_at,
            None => self.look(address).await?,
        };
        Ok(purged_at.is_some_and(|purged_at| stored_at < purged_at))
    }

    async fn look(&mut self, address: &Address) -> Result<Option<OffsetDateTime>, Failure> {
        let mut newest = None;
        for topology in &self.shards {
            let purge = last_purge(topology, Some((&self.tenant, address))).await?;
            newest = newest.max(purge.map(|(_, at)| at));
        }
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        self.known.insert(address.clone(), newest);
        Ok(newest)
    }
}
