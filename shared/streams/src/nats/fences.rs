//! Fences as they lie in a stream: their subjects, and the notices that outlast them.
//!
//! A fence is an empty message on `fences.<sequence>`, published with `Nats-Expected-Last-Sequence`, so that its
//! subject names the very sequence at which it is stored. A publication that must not follow a fence names the subject
//! of the fence that might be stored right before it, and expects that subject to be empty.
//!
//! After a rollback of the stream, fences may take the place of what a reader has read, and their removal looks like the
//! removal of a message. So before a writer removes its fences, it stores a *notice*, its first message, which stays: on
//! `fences.row.<sequence>`, it has the sequence and the time of the first fence.

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{RawMessageError, Stream};
use tidings_model::{ShardNumber, headers};
use time::OffsetDateTime;

use super::leader_get;

/// The first token of the subjects of fences in the first shard.
const ROOT: &str = "fences";

/// How many consecutive fences keep all former writers out: the maximum number of publications in flight.
pub(crate) const ZONE: u64 = 512;

/// The subject that matches every fence in a shard.
pub(crate) fn any_fence(shard: ShardNumber) -> String {
    format!("{}.>", shard.name(ROOT))
}

/// The subject of the fences that may be removed once there is a notice of them.
pub(crate) fn removable(shard: ShardNumber) -> String {
    format!("{}.*", shard.name(ROOT))
}

/// The subject of the notice of fences at this sequence.
pub(crate) fn row(shard: ShardNumber, sequence: u64) -> String {
    format!("{}.row.{sequence}", shard.name(ROOT))
}

/// The subject of every notice of fences in a shard.
fn any_row(shard: ShardNumber) -> String {
    format!("{}.row.*", shard.name(ROOT))
}

/// The subject of the fence at this sequence.
pub(crate) fn fence(shard: ShardNumber, sequence: u64) -> String {
    format!("{}.{sequence}", shard.name(ROOT))
}

/// Whether a message on this subject is a fence.
pub(crate) fn is_fence(subject: &str) -> bool {
    subject.split('.').next().is_some_and(|root| ShardNumber::of(root, ROOT).is_some())
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
    /// Adds the row to a notice.
    pub(crate) fn write(self, map: &mut HeaderMap) {
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
    let notice = leader_get::next(stream, &any_row(shard), place.saturating_add(1)).await?;
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
