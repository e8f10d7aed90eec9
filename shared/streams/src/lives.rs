//! The lives of `EVENTS`: they determine the epoch of an event.
//!
//! A recreated stream has another epoch by its creation time. A stream that was rolled back, by a power failure or a
//! restored backup, has not, and assigns sequences a second time. A process that finds that a known event does not
//! exist any more, or that another one has its sequence, begins a new *life*: a record in the bucket `PROJECTORS` with
//! the sequence after which it begins, and its epoch. All readers of `EVENTS` derive positions from this record, so
//! that origins of envelopes, rebuilds and rejections never confuse two events.
//!
//! The beginning of a life follows from times alone: the events that survived were stored before the last known one,
//! and those stored since are younger. So every projector that detects the rollback finds the same sequence, in any
//! shard, and one of them is enough, even if the stream has already grown past its former end. Epochs rise.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidings_model::{Epoch, Position};
use time::OffsetDateTime;

use crate::bucket::Bucket;
use crate::leader_get;
use crate::leadership::projectors;
use crate::record::{self, Record};
use crate::topology::{Topology, epoch_of};

const KEY: &str = "events";
/// The maximum difference between the clocks of two servers.
const SKEW: time::Duration = time::Duration::SECOND;
/// How many times a new life is written again after a conflict.
const ATTEMPTS: u32 = 8;

/// The lives of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lives {
    /// The epoch of the stream's creation, which is that of its first life.
    created: u64,
    /// The lives that began with a rollback, oldest first.
    later: Vec<Life>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Life {
    epoch: u64,
    /// The last sequence of the life before.
    after: u64,
}

impl Record for Lives {
    const VERSION: u64 = 1;
}

impl Lives {
    /// The position of the event with this sequence, in a stream with this creation time.
    pub(crate) fn position(&self, created: Epoch, sequence: u64) -> Position {
        let later = self.later.iter().rev().filter(|_| self.created == created.0);
        let life = later.copied().find(|life| life.after < sequence);
        Position { epoch: life.map_or(created, |life| Epoch(life.epoch)), sequence }
    }

    /// Whether this epoch belongs to a stream with this creation time.
    pub(crate) fn knows(&self, created: Epoch, epoch: Epoch) -> bool {
        epoch == created || (self.created == created.0 && self.later.iter().any(|life| life.epoch == epoch.0))
    }

    /// The sequence up to which a position of an earlier life is still valid.
    pub(crate) fn common(&self, created: Epoch, position: Position) -> u64 {
        let later =
            self.later.iter().filter(|life| self.created == created.0 && life.epoch > position.epoch.0);
        later.map(|life| life.after).chain([position.sequence]).min().unwrap_or_default()
    }

    /// Begins a life after this sequence. Events of earlier lives after it are gone.
    fn begin(&mut self, created: Epoch, after: u64, now: u64) {
        if self.created != created.0 {
            *self = Self { created: created.0, later: Vec::new() };
        }
        let newest = self.later.last().map_or(created.0, |life| life.epoch);
        self.later.retain(|life| life.after < after);
        self.later.push(Life { epoch: now.max(newest + 1), after });
    }
}

/// An event that is known to have been stored at or before a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) position: Position,
    pub(crate) at: OffsetDateTime,
    /// Whether it was stored at exactly this time.
    pub(crate) is_exact: bool,
}

/// The lives that this process knows. Shared by the clones of a topology.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownLives(Arc<Mutex<Lives>>);

impl KnownLives {
    fn get(&self) -> Lives {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, lives: &Lives) {
        lives.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Topology {
    /// The position of the event with this sequence, by the lives that were read last.
    pub(crate) fn event_at(&self, sequence: u64) -> Position {
        self.lives.get().position(epoch_of(self.events.cached_info()), sequence)
    }

    /// Reads the lives of `EVENTS`.
    pub(crate) async fn lives(&self) -> Result<Lives, async_nats::Error> {
        let lives = read(self.context()).await?;
        self.lives.set(&lives);
        Ok(lives)
    }

    /// Checks whether a known event still exists, and begins another life of `EVENTS` if it does not. `stream` is
    /// `EVENTS` as it was just looked up.
    pub(crate) async fn compare(&self, stream: &Stream, known: Known) -> Result<Lives, async_nats::Error> {
        let lives = self.lives().await?;
        let created = epoch_of(stream.cached_info());
        let is_of_this_life =
            |lives: &Lives| lives.position(created, known.position.sequence) == known.position;
        if known.position.sequence == 0 || !is_of_this_life(&lives) || holds(stream, known).await? {
            return Ok(lives);
        }
        let bucket = projectors(self).await?;
        let after = last_before(stream, known.at).await?;
        for _ in 0..ATTEMPTS {
            let (stored, revision) = read_with_revision(&bucket).await?;
            let mut lives = stored;
            if !is_of_this_life(&lives) {
                // Another projector has detected the rollback, too.
                self.lives.set(&lives);
                return Ok(lives);
            }
            lives.begin(created, after, micros(OffsetDateTime::now_utc()));
            let json = Bytes::from(record::encode(&lives)?);
            if bucket.write(KEY, json, revision).await?.is_some() {
                let rollbacks = lives.later.len();
                tracing::error!(
                    known = %known.position, after, rollbacks,
                    "stream EVENTS was rolled back to an older state; lost events cannot be projected any more, and \
                     all later ones are projected as new"
                );
                self.lives.set(&lives);
                return Ok(lives);
            }
        }
        Err("other projectors keep changing the lives of stream EVENTS".into())
    }
}

/// Whether the stream may still contain this event. A removed event proves nothing.
async fn holds(stream: &Stream, known: Known) -> Result<bool, async_nats::Error> {
    let sequence = known.position.sequence;
    if stream.get_info().await?.state.last_sequence < sequence {
        return Ok(false);
    }
    let found = leader_get::next(stream, "events.>", sequence).await?;
    Ok(found.filter(|message| message.sequence == sequence).is_none_or(|message| {
        if known.is_exact { message.time == known.at } else { message.time <= known.at + SKEW }
    }))
}

/// The last sequence that was stored at or before this time. Searches by bisection.
async fn last_before(stream: &Stream, at: OffsetDateTime) -> Result<u64, async_nats::Error> {
    let state = stream.get_info().await?.state;
    let (mut low, mut high) = (state.first_sequence, state.last_sequence.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match leader_get::next(stream, "events.>", middle).await? {
            Some(message) if message.time <= at => low = message.sequence.saturating_add(1),
            _ => high = middle,
        }
    }
    Ok(low.saturating_sub(1))
}

pub(crate) async fn read(context: &Context) -> Result<Lives, async_nats::Error> {
    let stream = match context.get_stream("KV_PROJECTORS").await {
        Ok(stream) => stream,
        Err(error) => match error.kind() {
            // No projector has ever run.
            GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                return Ok(Lives::default());
            }
            _ => return Err(error.into()),
        },
    };
    match stream.get_last_raw_message_by_subject("$KV.PROJECTORS.events").await {
        Ok(message) => Ok(record::decode(&message.payload)?),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(Lives::default()),
        Err(error) => Err(error.into()),
    }
}

async fn read_with_revision(bucket: &Bucket) -> Result<(Lives, u64), async_nats::Error> {
    match leader_get::last(&bucket.stream, &bucket.subject(KEY)).await? {
        Some(message) => Ok((record::decode(&message.payload)?, message.sequence)),
        None => Ok((Lives::default(), 0)),
    }
}

fn micros(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_the_epoch_of_its_life() {
        let created = Epoch(1_000);
        let mut lives = Lives::default();
        let epochs = |lives: &Lives| [1, 100, 101, 150, 151].map(|at| lives.position(created, at).epoch.0);
        assert_eq!(epochs(&lives), [1_000; 5]);
        lives.begin(created, 100, 2_000);
        assert_eq!(epochs(&lives), [1_000, 1_000, 2_000, 2_000, 2_000]);
        lives.begin(created, 150, 1_500);
        assert_eq!(
            epochs(&lives),
            [1_000, 1_000, 2_000, 2_000, 2_001],
            "epochs rise, whatever the clock says"
        );
        let at = |epoch, sequence| Position { epoch: Epoch(epoch), sequence };
        assert_eq!(lives.common(created, at(1_000, 400)), 100);
        assert_eq!(lives.common(created, at(1_000, 40)), 40);
        assert_eq!(lives.common(created, at(2_000, 400)), 150);
        assert_eq!(lives.common(created, at(2_001, 400)), 400);
        lives.begin(created, 50, 3_000);
        assert_eq!(epochs(&lives), [1_000, 3_000, 3_000, 3_000, 3_000]);
        assert_eq!(lives.position(Epoch(9), 200), at(9, 200), "another stream");
        assert!(lives.knows(created, Epoch(3_000)) && !lives.knows(created, Epoch(2_000)));
    }
}
