//! The one ordered read of a shard's stream per gateway: into the replica, then to the workers that have connections there.
//!
//! In this order, so that a connection that leaves the live path finds in the replica everything that its worker has
//! received.

use std::sync::Arc;
use std::time::Duration;

use tidings_model::{Position, ShardNumber};
use tidings_replica::{FramedEnvelope, Replica};
use tidings_streams::{Content, EnvelopeFollower, Extent, FollowError, Followed};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::context::Context;
use crate::worker::command::ShardUpdate;
use crate::worker::handle::ShardFeed;

/// How often to look which envelopes the stream has removed.
const UPKEEP: Duration = Duration::from_secs(1);
/// What an envelope takes in memory besides its bytes in the stream, at least: to read a few too
/// many whole costs little, to read too few leaves the hot tail half empty.
const OVERHEAD: u64 = 256;

/// Reads the stream as it is now into the replica: headers alone, and of the newest envelopes, as many as the hot tail
/// holds, the whole. Returns the last position.
pub(super) async fn build(
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
pub(super) async fn follow(
    mut follower: EnvelopeFollower,
    context: &Context,
    (number, replica): (ShardNumber, &Replica),
    feed: &ShardFeed,
    cancelled: &CancellationToken,
) {
    while let Some(followed) = cancelled.run_until_cancelled(follower.next()).await {
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
                    context.consumers.rewind().await;
                }
                replica.restart(epoch);
                ShardUpdate::Restarted(epoch)
            }
        };
        feed.send(update).await;
    }
}

/// Removes from the replica what the stream has removed and what has expired, until cancelled.
pub(super) async fn upkeep(replica: &Replica, clock: Clock, cancelled: &CancellationToken) {
    while cancelled.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
        match replica.topology().extent().await {
            Ok(extent) => replica.upkeep(&extent, clock.now()),
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot read what the stream has removed; trying again"
                );
            }
        }
    }
}
