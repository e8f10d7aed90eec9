//! One shard, as a gateway reads it: its replica and the one ordered read of its stream.
//!
//! Tenants are spread over streams, and each stream has sequences of its own. A connection belongs to the shard of its
//! tenant. What is read goes into the replica first, then to the workers that have connections there, so that a connection
//! that leaves the live path finds in the replica everything that its worker has received.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidings_model::{Epoch, Placement, Position, ShardNumber, Tenant};
use tidings_replica::{FramedEnvelope, Generations, Replica};
use tidings_streams::{Content, EnvelopeFollower, Extent, FollowError, Followed};
use tokio_util::sync::CancellationToken;

use super::figures::ShardFigures;
use crate::clock::Clock;
use crate::context::Context;
use crate::error::StartError;
use crate::worker::{ShardFeed, ShardUpdate, Workers};

/// How often to look which envelopes the stream has removed.
const UPKEEP: Duration = Duration::from_secs(1);
/// What an envelope takes in memory besides its bytes in the stream, at least: to read a few too
/// many whole costs little, to read too few leaves the hot tail half empty.
const OVERHEAD: u64 = 256;

/// A shard that is served.
#[derive(Clone)]
pub(super) struct Shard {
    number: ShardNumber,
    replica: Arc<Replica>,
    feed: ShardFeed,
    figures: Arc<ShardFigures>,
}

impl Shard {
    /// Reads what the shard's stream holds, and has the workers serve it from there on. The future follows it until
    /// cancelled.
    pub(super) async fn open(
        context: &Arc<Context>,
        (number, placements): (ShardNumber, &BTreeMap<Tenant, Placement>),
        workers: &Workers,
        cancelled: &CancellationToken,
    ) -> Result<(Self, impl Future<Output = ()> + use<>), StartError> {
        let (replica, position) = load(context, number, placements).await?;
        let follower = EnvelopeFollower::after(replica.topology(), position, Content::Whole).await?;
        let replica = Arc::new(replica);
        let feed = workers.add_shard(number, &replica, position).await;
        tracing::info!(shard = %number, %position, "reading the shard's envelopes");
        let figures = ShardFigures::register(&context.registry, number, &replica);
        let shard = Self { number, replica, feed, figures };
        let following = {
            let (shard, context) = (shard.clone(), Arc::clone(context));
            let cancelled = cancelled.clone();
            async move {
                let Self { number, replica, feed, figures } = &shard;
                let following = follow(follower, &context, (*number, replica), (feed, figures), &cancelled);
                tokio::join!(following, upkeep(replica, figures, context.clock, &cancelled));
            }
        };
        Ok((shard, following))
    }

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

/// Reads what the shard's stream holds. Returns the last position.
async fn load(
    context: &Context,
    number: ShardNumber,
    placements: &BTreeMap<Tenant, Placement>,
) -> Result<(Replica, Position), StartError> {
    let settings = &context.settings;
    let topology = context.topology.on(number).await?;
    // An empty stream of a cluster may be one whose leader has not applied its log yet.
    let extent = topology.extent_reaching(u64::from(topology.settings().replicas > 1)).await?;
    let reach = extent.floor.max(extent.last.saturating_sub(settings.mailbox_reach));
    let generations = generations_at(number, extent, reach, placements);
    let compressed_from = settings.compression.then_some(settings.compression_threshold);
    let bounds = (extent.floor, reach);
    let hot_tail_bytes = settings.hot_tail_bytes;
    let replica = Replica::new(topology, extent.epoch, generations, bounds, hot_tail_bytes, compressed_from);
    let position = build(&replica, extent, reach, hot_tail_bytes).await?;
    Ok((replica, position))
}

/// Reads the stream as it is now into the replica: headers alone, and of the newest envelopes, as many as the hot tail
/// holds, the whole. Returns the last position.
async fn build(
    replica: &Replica,
    extent: Extent,
    reach: u64,
    hot_tail_bytes: usize,
) -> Result<Position, FollowError> {
    let at = |sequence| Position { epoch: extent.epoch, sequence };
    let each = extent.bytes.checked_div(extent.messages).unwrap_or_default() + OVERHEAD;
    let hot = u64::try_from(hot_tail_bytes).unwrap_or(u64::MAX) / each;
    let tail = extent.last.saturating_sub(hot).max(reach);
    let mut position = at(reach);
    if reach < tail {
        position = read_through(replica, position, tail, Content::HeadersOnly).await?;
    }
    read_through(replica, position, extent.last, Content::Whole).await
}

/// Reads up to `last`, or to the stream's end if nothing is left there.
async fn read_through(
    replica: &Replica,
    from: Position,
    last: u64,
    content: Content,
) -> Result<Position, FollowError> {
    let topology = replica.topology();
    let mut follower = EnvelopeFollower::after(topology, from, content).await?;
    while follower.position().sequence < last || follower.has_more() {
        match follower.next_pending().await? {
            None => break,
            Some(Followed::Envelopes(envelopes)) => match content {
                Content::HeadersOnly => replica.index(&envelopes),
                Content::Whole => {
                    let framed = envelopes.into_iter().map(|stored| Arc::new(FramedEnvelope::new(stored)));
                    replica.append(framed.collect());
                }
            },
            Some(Followed::Placed { tenant, place, sequence }) => {
                if place.shard == topology.shard() {
                    replica.begin(&tenant, place.generation, sequence);
                } else {
                    replica.leave(&tenant, place.generation);
                }
            }
            // What was purged while this was read may have been read before.
            Some(Followed::Purged(tenant, address)) => replica.purge(&tenant, address.as_str()),
            Some(Followed::Renewed(epoch)) => {
                replica.restart(epoch);
                return Ok(Position { epoch, sequence: 0 });
            }
        }
    }
    // What was not found has been removed, or is no envelope.
    let Position { epoch, sequence } = follower.position();
    let position = Position { epoch, sequence: sequence.max(last) };
    replica.advance_to(position.sequence);
    Ok(position)
}

/// Follows the stream until cancelled.
async fn follow(
    mut follower: EnvelopeFollower,
    context: &Context,
    (number, replica): (ShardNumber, &Replica),
    (feed, figures): (&ShardFeed, &ShardFigures),
    cancelled: &CancellationToken,
) {
    loop {
        if !follower.has_more() {
            // What was read before is with the workers.
            figures.delivered_through(follower.position().sequence);
        }
        let Some(followed) = cancelled.run_until_cancelled(follower.next()).await else { return };
        let update = match followed {
            Followed::Envelopes(envelopes) => {
                let framed = envelopes.into_iter().map(|stored| Arc::new(FramedEnvelope::new(stored)));
                let delivered = replica.append(framed.collect());
                if delivered.is_empty() {
                    continue;
                }
                ShardUpdate::Envelopes(delivered.into())
            }
            Followed::Purged(tenant, address) => {
                replica.purge(&tenant, address.as_str());
                if let ("user", Some(user)) = (address.kind(), address.id()) {
                    context.consumers.purge(&tenant, user);
                }
                continue;
            }
            Followed::Placed { tenant, place, sequence: since } => {
                let generation = place.generation;
                if place.shard == number {
                    replica.begin(&tenant, generation, since);
                    tracing::info!(%tenant, generation, "the tenant's envelopes were rebuilt");
                    ShardUpdate::Began { tenant, generation, since }
                } else {
                    // The bucket says so, too, but a tenant may be back before it is looked at.
                    replica.leave(&tenant, generation);
                    ShardUpdate::Left { tenant, generation }
                }
            }
            Followed::Renewed(epoch) => {
                if replica.epoch() == epoch {
                    // Sequences are used again: what was acknowledged before says nothing about what comes.
                    context.consumers.rewind(epoch).await;
                }
                replica.restart(epoch);
                ShardUpdate::Restarted(epoch)
            }
        };
        feed.send(update).await;
    }
}

/// Removes from the replica what the stream has removed and what has expired, and looks how far the reader is behind,
/// until cancelled.
async fn upkeep(replica: &Replica, figures: &ShardFigures, clock: Clock, cancelled: &CancellationToken) {
    while cancelled.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
        match replica.topology().extent().await {
            Ok(extent) => {
                replica.upkeep(&extent, clock.now());
                figures.look(replica, &extent).await;
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot read what the stream has removed; trying again"
                );
            }
        }
    }
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
