//! Fences: what keeps the publications of a former writer out of `ENVELOPES`.
//!
//! A fence is an empty message on `fences.<sequence>`, published with `Nats-Expected-Last-Sequence`, so that its
//! subject names the very sequence at which it lies. A publication that must not follow a fence can therefore name the
//! subject of the fence that might lie right before it, and expect that subject to be empty. Why that is enough, and
//! why it takes [`ZONE`] fences in a row, is argued in the module `writer`.
//!
//! Fences mean nothing to readers. Once a writer has completed its fences, they have done their duty and are removed,
//! with all before them: nobody's publication can meet the sequences any more at which they lay.
//!
//! When NATS comes back with an older state of the stream, fences may take the place of what a reader has read, and nothing
//! lies there afterwards, as if it had been removed. So no fence is removed before a *notice* of it is stored, the writer's
//! first message, which stays: on `fences.row.<sequence>`, it says where the first of the fences lay, and since when.

use std::future::IntoFuture as _;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishError};
use async_nats::jetstream::stream::{RawMessageError, Stream};
use bytes::Bytes;
use futures_util::future::join_all;
use tidings_model::{ShardNumber, headers};
use time::OffsetDateTime;

use crate::at_leader;
use crate::convert::set;
use crate::topology::Topology;
use crate::writer::WriteError;

/// The first token of fences in the first shard.
const ROOT: &str = "fences";

/// How many fences in a row keep all former writers out: as many as a writer may have publications in flight.
pub(crate) const ZONE: u64 = 512;
/// How often a busy stream is tried to be taken over before the caller is told to try again.
const ATTEMPTS: u32 = 32;

/// The subject that holds every fence in a shard.
pub(crate) fn any_fence(shard: ShardNumber) -> String {
    format!("{}.>", shard.name(ROOT))
}

/// The subject that holds what may be removed once there is a notice of it.
fn removable(shard: ShardNumber) -> String {
    format!("{}.*", shard.name(ROOT))
}

/// The subject of every notice of fences in a shard.
pub(crate) fn any_row(shard: ShardNumber) -> String {
    format!("{}.row.*", shard.name(ROOT))
}

/// The subject of a fence at this sequence.
pub(crate) fn fence(shard: ShardNumber, sequence: u64) -> String {
    format!("{}.{sequence}", shard.name(ROOT))
}

/// Whether a message on this subject is a fence.
pub(crate) fn is_fence(subject: &str) -> bool {
    subject.split('.').next().is_some_and(|root| ShardNumber::of(root, ROOT).is_some())
}

/// Takes over the end of the stream, which must still be at `last`; returns the new end. Whoever has written since is
/// not disturbed.
pub(crate) async fn take_over(topology: &Topology, last: u64) -> Result<u64, WriteError> {
    // The first one alone: if it is refused, those behind it must not fence in another, rightful writer.
    settled(&topology.context, topology.shard(), last, 1).await?;
    settled(&topology.context, topology.shard(), last + 1, ZONE - 1).await?;
    conclude(topology, last + ZONE).await
}

/// Takes over the end of the stream wherever it is by now, also from a writer that is busy; returns the new end.
///
/// The fences of one round expect one sequence after the other. They are sent faster than a stream grows, so one of
/// them meets its end, and from there on they follow each other, since nothing else may follow a fence.
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

/// Notes what the fences took that end here, and removes them; returns the new end.
async fn conclude(topology: &Topology, end: u64) -> Result<u64, WriteError> {
    let mut rows = Vec::new();
    // Also of a writer that has gone before its notice.
    for from in [1, (end + 1).saturating_sub(ZONE)] {
        let fence = at_leader::next(&topology.envelopes, &removable(topology.shard()), from).await;
        let fence = fence.map_err(WriteError::unavailable)?;
        rows.extend(fence.map(|fence| Row { first: fence.sequence, stored_at: fence.time }));
    }
    rows.dedup();
    let subject = format!("{}.row.{}", topology.shard().name(ROOT), end + 1);
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

/// Publishes so many fences behind `last`, all of which must be stored there.
async fn settled(context: &Context, shard: ShardNumber, last: u64, count: u64) -> Result<(), WriteError> {
    for (expected, stored) in (last + 1..).zip(publish(context, shard, last, count).await) {
        if stored? != expected {
            return Err(WriteError::LostPlace);
        }
    }
    Ok(())
}

/// What became of so many fences behind `last`, in their order.
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

/// Removes the fences up to this sequence. Left there they do no harm.
async fn remove_through(topology: &Topology, sequence: u64) {
    let removed = topology.envelopes.purge().filter(removable(topology.shard())).sequence(sequence + 1).await;
    if let Err(error) = removed {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "old fences stay in the stream until they are too old"
        );
    }
}

/// Fences in a row, as a notice tells of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The sequence of the first of them.
    pub(crate) first: u64,
    /// When that was stored.
    pub(crate) stored_at: OffsetDateTime,
}

impl Row {
    fn write(self, map: &mut HeaderMap) {
        map.append(headers::FENCES, format!("{} {}", self.first, self.stored_at.unix_timestamp_nanos()));
    }

    /// What a notice says; nothing, if the message is none.
    pub(crate) fn read(map: &HeaderMap) -> Vec<Self> {
        let row = |text: &str| {
            let (first, nanoseconds) = text.split_once(' ')?;
            let stored_at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds.parse().ok()?).ok()?;
            Some(Self { first: first.parse().ok()?, stored_at })
        };
        map.get_all(headers::FENCES).filter_map(|value| row(value.as_str())).collect()
    }
}

/// Whether fences took this place, at which nothing lies, after what a reader knows to have been stored there at this time.
pub(crate) async fn has_taken(
    stream: &Stream,
    shard: ShardNumber,
    place: u64,
    stored_at: OffsetDateTime,
) -> Result<bool, RawMessageError> {
    let notice = at_leader::next(stream, &any_row(shard), place.saturating_add(1)).await?;
    let rows = notice.map(|notice| Row::read(&notice.headers)).unwrap_or_default();
    Ok(rows.iter().any(|row| row.first <= place && row.stored_at > stored_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_where_rows_began() {
        let rows = [7, 519].map(|first| Row {
            first,
            stored_at: OffsetDateTime::UNIX_EPOCH
                + time::Duration::nanoseconds(i64::try_from(first).unwrap()),
        });
        let mut map = HeaderMap::new();
        for row in rows {
            row.write(&mut map);
        }
        assert_eq!(Row::read(&map), rows);
        for text in ["", "7", "7 x", "x 7"] {
            let mut map = HeaderMap::new();
            map.insert(headers::FENCES, text);
            assert_eq!(Row::read(&map), [], "{text}");
        }
    }
}
