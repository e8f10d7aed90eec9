//! The one ordered read of `ENVELOPES` per gateway: into what is retained, then to every shard.
//!
//! In this order, so that a connection that leaves the live path finds in the mailbox everything
//! that its shard has been told of.

use std::sync::Arc;
use std::time::Duration;

use tidings_model::Position;
use tidings_streams::{Content, EnvelopeFollower, Extent, FollowError, Followed};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::framed::FramedEnvelope;
use crate::lane::Lane;
use crate::shard::{News, ShardHandle};
use crate::shared::Shared;

/// How often what has been removed from the stream is looked for.
const UPKEEP: Duration = Duration::from_secs(1);
/// What an envelope takes in memory besides its bytes in the stream, at least: to read a few too
/// many whole costs little, to read too few leaves the hot tail half empty.
const OVERHEAD: u64 = 256;

/// Learns what lies where in the stream as it is now: from headers alone, and of the newest
/// envelopes, as many as the hot tail holds, from the whole. Returns where that ends.
pub(crate) async fn build(
    lane: &Lane,
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
        position = read_through(lane, position, tail, Content::HeadersOnly).await?;
    }
    read_through(lane, position, extent.last, Content::Whole).await
}

/// Reads up to `last`, or to the stream's end if nothing is left there.
async fn read_through(
    lane: &Lane,
    from: Position,
    last: u64,
    content: Content,
) -> Result<Position, FollowError> {
    let Lane { topology, retained } = lane;
    let mut follower = EnvelopeFollower::after(topology, from, content).await?;
    while follower.position().sequence < last || follower.has_more() {
        match follower.next_pending().await? {
            None => break,
            Some(Followed::Envelopes(envelopes)) => match content {
                Content::HeadersOnly => retained.index(&envelopes),
                Content::Whole => {
                    let framed = envelopes.into_iter().map(|stored| Arc::new(FramedEnvelope::new(stored)));
                    retained.append(framed.collect());
                }
            },
            Some(Followed::Placed { tenant, place, sequence }) => {
                if place.shard == topology.shard() {
                    retained.begin(&tenant, place.generation, sequence);
                } else {
                    retained.leave(&tenant, place.generation);
                }
            }
            Some(Followed::Fenced { first, stored_at }) => retained.note_fences(first, stored_at),
            // What was purged while this was read may have been read before.
            Some(Followed::Purged(tenant, address)) => retained.purge(&tenant, address.as_str()),
            Some(Followed::Renewed(epoch)) => {
                retained.restart(epoch);
                return Ok(Position { epoch, sequence: 0 });
            }
        }
    }
    // What was not found has been removed, or is no envelope; nobody stands wrong there for that, and
    // nobody waits for it.
    let Position { epoch, sequence } = follower.position();
    let position = Position { epoch, sequence: sequence.max(last) };
    retained.advance_to(position.sequence);
    Ok(position)
}

/// Follows the stream until cancelled.
pub(crate) async fn follow(
    mut follower: EnvelopeFollower,
    shared: &Shared,
    lane: &Lane,
    shards: &[ShardHandle],
    cancelled: &CancellationToken,
) {
    let Lane { topology, retained } = lane;
    while let Some(followed) = cancelled.run_until_cancelled(follower.next()).await {
        let news = match followed {
            Followed::Envelopes(envelopes) => {
                let framed = envelopes.into_iter().map(|stored| Arc::new(FramedEnvelope::new(stored)));
                let delivered = retained.append(framed.collect());
                if delivered.is_empty() {
                    continue;
                }
                News::Envelopes(delivered.into())
            }
            Followed::Purged(tenant, address) => {
                retained.purge(&tenant, address.as_str());
                if let ("user", Some(user)) = (address.kind(), address.id()) {
                    shared.positions.purge(&tenant, user);
                }
                continue;
            }
            Followed::Fenced { first, stored_at } => {
                retained.note_fences(first, stored_at);
                continue;
            }
            Followed::Placed { tenant, place, sequence: since } => {
                let generation = place.generation;
                if place.shard == topology.shard() {
                    retained.begin(&tenant, generation, since);
                    tracing::info!(%tenant, generation, "the tenant's envelopes were made anew");
                    News::Began { tenant, generation, since }
                } else {
                    // The bucket says so, too, but a tenant may be back before anybody has looked there.
                    retained.leave(&tenant, generation);
                    News::Left { tenant, generation }
                }
            }
            Followed::Renewed(epoch) => {
                if retained.epoch() == epoch {
                    // Sequences are given again: what was acknowledged before says nothing about what comes.
                    shared.positions.rewind().await;
                }
                retained.restart(epoch);
                News::Renewed(epoch)
            }
        };
        for shard in shards {
            shard.tell(news.clone()).await;
        }
    }
}

/// Forgets what the stream has removed and what has expired, until cancelled.
pub(crate) async fn upkeep(lane: &Lane, clock: fn() -> OffsetDateTime, cancelled: &CancellationToken) {
    while cancelled.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
        match lane.topology.extent().await {
            Ok(extent) => lane.retained.upkeep(&extent, clock()),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "retention is looked at later");
            }
        }
    }
}
