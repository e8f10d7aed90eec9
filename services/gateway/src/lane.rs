//! One stream of envelopes, as a gateway reads it: what it keeps of it, the one ordered read, and the shards that serve
//! the tenants whose envelopes are there.
//!
//! Tenants are spread over streams, and each stream has sequences of its own. So each has a lane of its own, and a
//! connection belongs to the lane of its tenant for as long as it lasts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use tidings_model::{Epoch, Placement, Position, ShardNumber, Tenant};
use tidings_streams::{Content, EnvelopeFollower, Extent, ExtentError, Topology};
use tokio_util::sync::CancellationToken;

use crate::follow::{build, follow, upkeep};
use crate::gateway::StartError;
use crate::generations::Generations;
use crate::retained::Retained;
use crate::shard::{News, ShardHandle};
use crate::shared::Shared;
use crate::standing::View;

/// What all parts of a lane share.
pub(crate) struct Lane {
    pub(crate) topology: Topology,
    pub(crate) retained: Retained,
}

/// A lane that serves. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OpenLane {
    pub(crate) lane: Arc<Lane>,
    pub(crate) shards: Arc<[ShardHandle]>,
}

/// A lane that knows what lies where, and does not serve yet.
pub(crate) struct PreparedLane {
    lane: Lane,
    position: Position,
    follower: EnvelopeFollower,
}

/// What shards run on.
pub(crate) type Threads = Vec<JoinHandle<()>>;

impl PreparedLane {
    /// Learns what lies where in a shard's stream.
    pub(crate) async fn learn(
        shared: &Shared,
        shard: ShardNumber,
        placements: &BTreeMap<Tenant, Placement>,
    ) -> Result<Self, StartError> {
        let settings = &shared.settings;
        let topology = shared.topology.on(shard).await?;
        // An empty stream of a cluster may be one whose leader has not come to its end yet.
        let extent = topology.extent_reaching(u64::from(topology.settings().replicas > 1)).await?;
        let reach = extent.floor.max(extent.last.saturating_sub(settings.mailbox_reach));
        let generations = generations_at(shard, extent, reach, placements);
        let compressed_from = settings.compression.then_some(settings.compression_threshold);
        let bounds = (extent.floor, reach);
        let retained =
            Retained::new(extent.epoch, generations, bounds, settings.hot_tail_bytes, compressed_from);
        let lane = Lane { topology, retained };
        let position = build(&lane, extent, reach, settings.hot_tail_bytes).await?;
        let follower = EnvelopeFollower::after(&lane.topology, position, Content::Whole).await?;
        Ok(Self { lane, position, follower })
    }

    /// Starts the lane's shards, whose numbers go on from `first`, and keeps them up to date until it is over.
    pub(crate) fn start(
        self,
        shared: &Arc<Shared>,
        first: usize,
        over: &CancellationToken,
    ) -> Result<(OpenLane, Threads, impl Future<Output = ()> + use<>), StartError> {
        let Self { lane, position, follower } = self;
        let lane = Arc::new(lane);
        let count = match shared.settings.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let (mut shards, mut threads) = (Vec::new(), Vec::new());
        for index in first..first + count {
            let started = ShardHandle::start(index, Arc::clone(shared), Arc::clone(&lane), position);
            let (shard, thread) = started.map_err(StartError::Shard)?;
            shards.push(shard);
            threads.push(thread);
        }
        let open = OpenLane { lane, shards: shards.into() };
        let keeping = keep(open.clone(), follower, Arc::clone(shared), over.clone());
        Ok((open, threads, keeping))
    }

    /// Where the lane begins to serve.
    pub(crate) fn position(&self) -> Position {
        self.position
    }
}

async fn keep(open: OpenLane, follower: EnvelopeFollower, shared: Arc<Shared>, over: CancellationToken) {
    let OpenLane { lane, shards } = open;
    let following = follow(follower, &shared, &lane, &shards, &over);
    tokio::join!(following, upkeep(&lane, shared.clock, &over));
}

impl Lane {
    /// What of the stream can be answered for, as positions of a tenant are counted; `None` if the tenant's
    /// envelopes are not here.
    pub(crate) fn view(&self, tenant: &Tenant) -> Option<View> {
        self.retained.view(tenant)
    }

    /// The same to somebody who stands at `position`: if that is ahead of this gateway, as another one may be,
    /// the stream is asked how far it goes.
    pub(crate) async fn view_for(
        &self,
        tenant: &Tenant,
        position: Position,
    ) -> Result<Option<View>, ExtentError> {
        let Some(mut view) = self.view(tenant) else { return Ok(None) };
        if position.epoch == view.epoch && position.sequence > view.head {
            let extent = self.topology.extent_reaching(position.sequence).await?;
            if extent.epoch == self.retained.epoch() {
                view.head = view.head.max(extent.last);
            }
        }
        Ok(Some(view))
    }
}

impl OpenLane {
    /// A tenant of whom this lane knows only what the stream has said so far, and whose placement is known now.
    pub(crate) async fn place(&self, tenant: &Tenant, placement: &Placement) {
        let Lane { topology, retained } = &*self.lane;
        for stay in stays(topology.shard(), retained.epoch(), (retained.head(), retained.head()), placement) {
            let tenant = tenant.clone();
            let news = match stay {
                (generation, None) => {
                    retained.leave(&tenant, generation);
                    News::Left { tenant, generation }
                }
                (generation, Some(since)) => {
                    retained.begin(&tenant, generation, since);
                    News::Began { tenant, generation, since }
                }
            };
            for shard in self.shards.iter() {
                shard.tell(news.clone()).await;
            }
        }
    }

    /// A tenant whose envelopes are in this lane from the beginning of what there is of it, in a generation that no
    /// notice is about.
    pub(crate) async fn welcome(&self, tenant: &Tenant, generation: u32) {
        self.lane.retained.begin(tenant, generation, 0);
        for shard in self.shards.iter() {
            shard.tell(News::Began { tenant: tenant.clone(), generation, since: 0 }).await;
        }
    }
}

/// The generations of a tenant in a shard's stream that were current when it held what is up to `reach`, and since when;
/// those that were elsewhere without the latter.
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

/// Which generations were current in a shard's stream when it held what is up to `reach`. What comes behind it says so
/// itself.
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
    fn a_lane_begins_with_what_was_current_then() {
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
        assert_eq!(current(0, Epoch(7_000), 0, &placement), Some(2), "the stream was made anew");
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
