//! Takes over the end of `ENVELOPES` with fences, which keep publications of a former writer out of it.
//!
//! The module `writer` proves why fences are enough, and why it takes [`ZONE`] consecutive ones. Readers
//! ignore them. Once a writer has completed its fences, they are no longer needed and are removed, with all before them:
//! no publication can be stored any more at the sequences at which they were.

use std::future::IntoFuture as _;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishError};
use bytes::Bytes;
use futures_util::future::join_all;
use tidings_model::{ShardNumber, headers};

use super::write_error::WriteError;
use crate::nats::fences::{Row, ZONE, fence, removable, row};
use crate::nats::{leader_get, set};
use crate::topology::Topology;

/// How many times a writer tries to take over a busy stream before it returns an error.
const ATTEMPTS: u32 = 32;

/// Takes over the end of the stream, which must still be at `last`; returns the new end. Does not disturb a writer that
/// has written since.
pub(crate) async fn take_over(topology: &Topology, last: u64) -> Result<u64, WriteError> {
    // The first fence alone: if it is refused, the others must not fence off another, rightful writer.
    settled(&topology.context, topology.shard(), last, 1).await?;
    settled(&topology.context, topology.shard(), last + 1, ZONE - 1).await?;
    conclude(topology, last + ZONE).await
}

/// Takes over the end of the stream wherever it is by now, even from a busy writer; returns the new end.
///
/// The fences of one round expect consecutive sequences. They are sent faster than a stream grows, so one of them meets
/// its end, and from there on they follow each other, since nothing else may follow a fence.
pub(crate) async fn seize(topology: &Topology) -> Result<u64, WriteError> {
    let mut reached =
        topology.envelopes.get_info().await.map_err(WriteError::unavailable)?.state.last_sequence;
    let mut in_a_row = 0;
    for _ in 0..ATTEMPTS {
        for stored in publish(&topology.context, topology.shard(), reached, ZONE).await {
            in_a_row = match stored {
                Ok(sequence) if sequence == reached + 1 => in_a_row + 1,
                Ok(_) => 1,
                Err(WriteError::LostPlace) => 0,
                Err(error) => return Err(error),
            };
            reached = if let Ok(sequence) = stored { sequence } else { reached };
        }
        if in_a_row >= ZONE {
            match conclude(topology, reached).await {
                // The interrupted writer is back already.
                Err(WriteError::LostPlace) => in_a_row = 0,
                concluded => return concluded,
            }
        }
        if in_a_row == 0 {
            let info = topology.envelopes.get_info().await.map_err(WriteError::unavailable)?;
            reached = info.state.last_sequence;
        }
    }
    Err(WriteError::LostPlace)
}

/// Stores the notice of the fences that end here, and removes them; returns the new end.
async fn conclude(topology: &Topology, end: u64) -> Result<u64, WriteError> {
    let mut rows = Vec::new();
    // Also the fences of a writer that ended before its notice.
    for from in [1, (end + 1).saturating_sub(ZONE)] {
        let fence = leader_get::next(&topology.envelopes, &removable(topology.shard()), from).await;
        let fence = fence.map_err(WriteError::unavailable)?;
        rows.extend(fence.map(|fence| Row { first: fence.sequence, stored_at: fence.time }));
    }
    rows.dedup();
    let subject = row(topology.shard(), end + 1);
    let mut map = HeaderMap::new();
    for row in rows {
        row.write(&mut map);
    }
    let sent = publish_behind(&topology.context, subject, end, map).await;
    let stored = async { sent?.into_future().await }.await.map_err(WriteError::from_publish)?;
    if stored.sequence != end + 1 {
        return Err(WriteError::LostPlace);
    }
    remove_through(topology, end).await;
    Ok(stored.sequence)
}

/// Publishes `count` fences after `last`, and requires that all of them are stored there.
async fn settled(context: &Context, shard: ShardNumber, last: u64, count: u64) -> Result<(), WriteError> {
    for (expected, stored) in (last + 1..).zip(publish(context, shard, last, count).await) {
        if stored? != expected {
            return Err(WriteError::LostPlace);
        }
    }
    Ok(())
}

/// Publishes `count` fences after `last`; returns their results in order.
async fn publish(
    context: &Context,
    shard: ShardNumber,
    last: u64,
    count: u64,
) -> Vec<Result<u64, WriteError>> {
    let mut sent = Vec::new();
    for expected in last..last + count {
        sent.push(send(context, shard, expected).await);
    }
    let outcomes =
        sent.into_iter().map(async |sent| Ok::<_, PublishError>(sent?.into_future().await?.sequence));
    join_all(outcomes).await.into_iter().map(|stored| stored.map_err(WriteError::from_publish)).collect()
}

async fn send(context: &Context, shard: ShardNumber, last: u64) -> Result<PublishAckFuture, PublishError> {
    publish_behind(context, fence(shard, last + 1), last, HeaderMap::new()).await
}

async fn publish_behind(
    context: &Context,
    subject: String,
    last: u64,
    mut map: HeaderMap,
) -> Result<PublishAckFuture, PublishError> {
    set(&mut map, headers::EXPECTED_LAST_SEQUENCE, last.to_string());
    context.publish_with_headers(subject, map, Bytes::new()).await
}

/// Removes the fences up to this sequence. Fences that stay do no harm.
async fn remove_through(topology: &Topology, sequence: u64) {
    let removed = topology.envelopes.purge().filter(removable(topology.shard())).sequence(sequence + 1).await;
    if let Err(error) = removed {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "cannot remove old fences; they stay until they expire"
        );
    }
}
