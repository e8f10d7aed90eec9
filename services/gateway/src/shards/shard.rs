//! One shard, as a gateway reads it: its replica and the one ordered read of its stream.
//!
//! Tenants are spread over streams, and each stream has sequences of its own. A connection belongs to the shard of its
//! tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_model::{Epoch, Placement, Position, ShardNumber, Tenant};
use tidings_replica::{Generations, Replica};
use tidings_streams::{Content, EnvelopeFollower, Extent};
use tokio_util::sync::CancellationToken;

use super::follow::{build, follow, upkeep};
use crate::context::Context;
use crate::error::StartError;
use crate::worker::{ShardFeed, ShardUpdate, Workers};

/// A shard that is served.
#[derive(Clone)]
pub(super) struct Shard {
    number: ShardNumber,
    replica: Arc<Replica>,
    feed: ShardFeed,
}

/// A shard whose replica is loaded, and that is not served yet.
pub(super) struct LoadingShard {
    number: ShardNumber,
    replica: Arc<Replica>,
    position: Position,
    follower: EnvelopeFollower,
}

impl LoadingShard {
    /// Reads what the shard's stream holds.
    pub(super) async fn load(
        context: &Context,
        number: ShardNumber,
        placements: &BTreeMap<Tenant, Placement>,
    ) -> Result<Self, StartError> {
        let settings = &context.settings;
        let topology = context.topology.on(number).await?;
        // An empty stream of a cluster may be one whose leader has not applied its log yet.
        let extent = topology.extent_reaching(u64::from(topology.settings().replicas > 1)).await?;
        let reach = extent.floor.max(extent.last.saturating_sub(settings.mailbox_reach));
        let generations = generations_at(number, extent, reach, placements);
        let compressed_from = settings.compression.then_some(settings.compression_threshold);
        let bounds = (extent.floor, reach);
        let hot_tail_bytes = settings.hot_tail_bytes;
        let replica =
            Replica::new(topology, extent.epoch, generations, bounds, hot_tail_bytes, compressed_from);
        let position = build(&replica, extent, reach, hot_tail_bytes).await?;
        let follower = EnvelopeFollower::after(replica.topology(), position, Content::Whole).await?;
        Ok(Self { number, replica: Arc::new(replica), position, follower })
    }

    /// Has the workers serve the shard. The future follows it until cancelled.
    pub(super) async fn open(
        self,
        context: &Arc<Context>,
        workers: &Workers,
        cancelled: &CancellationToken,
    ) -> (Shard, impl Future<Output = ()> + use<>) {
        let Self { number, replica, position, follower } = self;
        let feed = workers.add_shard(number, &replica, position).await;
        let shard = Shard { number, replica, feed };
        let following = {
            let (shard, context) = (shard.clone(), Arc::clone(context));
            let cancelled = cancelled.clone();
            async move {
                let Shard { number, replica, feed } = &shard;
                let following = follow(follower, &context, (*number, replica), feed, &cancelled);
                tokio::join!(following, upkeep(replica, context.clock, &cancelled));
            }
        };
        (shard, following)
    }

    /// The position after which the shard is served.
    pub(super) fn position(&self) -> Position {
        self.position
    }
}

impl Shard {
    pub(super) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// The placement of a tenant is known now, of which this shard knew only what the stream has said so far.
    pub(super) async fn place(&self, tenant: &Tenant, placement: &Placement) {
        let replica = &self.replica;
        let read = (replica.head(), replica.head());
        for stay in stays(self.number, replica.epoch(), read, placement) {
            match stay {
                (generation, Some(since)) => self.begin(tenant, generation, since).await,
                (generation, None) => {
                    replica.leave(tenant, generation);
                    self.feed.send(ShardUpdate::Left { tenant: tenant.clone(), generation }).await;
                }
            }
        }
    }

    /// A tenant's envelopes are in this shard in this generation, from this sequence on.
    pub(super) async fn begin(&self, tenant: &Tenant, generation: u32, since: u64) {
        self.replica.begin(tenant, generation, since);
        self.feed.send(ShardUpdate::Began { tenant: tenant.clone(), generation, since }).await;
    }
}

/// The generations of a tenant that were current when the shard's stream had come to `reach`, each with the sequence from
/// which on; without a sequence, a generation was in another shard.
fn stays(
    shard: ShardNumber,
    stream: Epoch,
    (reach, last): (u64, u64),
    placement: &Placement,
) -> impl Iterator<Item = (u32, Option<u64>)> {
    placement.stays().filter_map(move |stay| {
        let place = stay.place;
        // What is known of another life of the stream, or of more than it has after a roll-back, counts for all that is
        // in it.
        let since = stay.since.filter(|since| since.epoch == place.epoch(stream) && since.sequence <= last);
        let since = since.map_or(0, |since| since.sequence);
        if place.shard == shard {
            (since <= reach).then_some((place.generation, Some(since)))
        } else {
            Some((place.generation, None))
        }
    })
}

/// The generations of all tenants that were current when the shard's stream had come to `reach`. Notices behind it are
/// read from the stream.
fn generations_at(
    shard: ShardNumber,
    Extent { epoch: stream, last, .. }: Extent,
    reach: u64,
    placements: &BTreeMap<Tenant, Placement>,
) -> Generations {
    let mut generations = Generations::new(shard == ShardNumber::default());
    for (tenant, placement) in placements {
        for stay in stays(shard, stream, (reach, last), placement) {
            match stay {
                (generation, None) => generations.leave(tenant, generation),
                (generation, Some(since)) => generations.begin(tenant, generation, since),
            }
        }
    }
    generations
}

#[cfg(test)]
mod tests {
    use tidings_model::Place;

    use super::*;

    #[test]
    fn a_shard_begins_with_what_was_current_then() {
        let (stream, tenant) = (Epoch(1_000), Tenant::parse("ops").unwrap());
        let mut placement = Placement::default();
        let place = |shard, generation| Place { shard: ShardNumber(shard), generation };
        let at = |epoch, sequence| Position { epoch: Epoch(epoch), sequence };
        placement.switch(place(0, 1), at(1_001, 50));
        placement.switch(place(0, 2), at(1_002, 90));
        let current = |shard, stream, reach, placement: &Placement| {
            let placements = BTreeMap::from([(tenant.clone(), placement.clone())]);
            let extent = Extent { epoch: stream, floor: 0, last: 200, messages: 0, bytes: 0 };
            generations_at(ShardNumber(shard), extent, reach, &placements).current(&tenant)
        };
        for (reach, generation) in [(0, 0), (49, 0), (50, 1), (89, 1), (90, 2)] {
            assert_eq!(current(0, stream, reach, &placement), Some(generation), "{reach}");
        }
        assert_eq!(current(0, Epoch(7_000), 0, &placement), Some(2), "the stream was recreated");
        assert_eq!(current(1, stream, 100, &placement), None);
        placement.switch(place(0, 3), at(1_003, 900));
        assert_eq!(current(0, stream, 100, &placement), Some(3), "its notice was lost in a roll-back");
        placement.switch(place(1, 4), at(5_004, 10));
        assert_eq!(current(0, stream, 100, &placement), None);
        assert_eq!(current(1, Epoch(5_000), 9, &placement), None, "its notice is still to come");
        assert_eq!(current(1, Epoch(5_000), 10, &placement), Some(4));
        assert_eq!(current(1, Epoch(5_000), 10, &Placement::first(ShardNumber(1))), Some(0));
    }
}
