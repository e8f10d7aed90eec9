//! The lives of `EVENTS`: which epoch an event has.
//!
//! A stream that was created again has another epoch by the time of its creation. One that comes back with less than it
//! had, after a power failure or from a backup, does not, and gives sequences a second time. So whoever finds that an
//! event which it knows is not there any more, or that another one lies in its place, begins a new *life*: a record in
//! the bucket `PROJECTORS` says behind which sequence, and in which epoch. All who read `EVENTS` take positions from it,
//! so that origins of envelopes, rebuilds and rejections never take one event for another.
//!
//! Where a life begins follows from times alone: the events that survived were stored before the last known one, those
//! that came since were stored after it. So every projector that notices finds the same place, whichever shard is its,
//! and the first one is enough; also when the stream has grown past the old end already. Epochs rise.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidings_model::{Epoch, Position};
use time::OffsetDateTime;

use crate::at_leader;
use crate::bucket::Bucket;
use crate::end;
use crate::leadership::projectors;
use crate::record::{self, Record};
use crate::topology::{Topology, epoch_of};

const KEY: &str = "events";
/// How far the clocks of two servers may be apart.
pub(crate) const SKEW: time::Duration = time::Duration::SECOND;
/// How often a declaration is tried again because another one came first.
const ATTEMPTS: u32 = 8;

/// Which lives a stream has had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lives {
    /// The epoch of the stream's creation, which is that of its first life.
    created: u64,
    /// Those that began with a roll-back, oldest first.
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
    /// Where the event with this sequence lies, in a stream that was created then.
    pub(crate) fn position(&self, created: Epoch, sequence: u64) -> Position {
        let later = self.later.iter().rev().filter(|_| self.created == created.0);
        let life = later.copied().find(|life| life.after < sequence);
        Position { epoch: life.map_or(created, |life| Epoch(life.epoch)), sequence }
    }

    /// Whether this epoch is one of a stream that was created then.
    pub(crate) fn knows(&self, created: Epoch, epoch: Epoch) -> bool {
        epoch == created || (self.created == created.0 && self.later.iter().any(|life| life.epoch == epoch.0))
    }

    /// Up to where a position of a former life still holds.
    pub(crate) fn common(&self, created: Epoch, position: Position) -> u64 {
        let later =
            self.later.iter().filter(|life| self.created == created.0 && life.epoch > position.epoch.0);
        later.map(|life| life.after).chain([position.sequence]).min().unwrap_or_default()
    }

    /// Begins a life behind this sequence. What of former ones lay behind it is gone.
    fn begin(&mut self, created: Epoch, after: u64, now: u64) {
        if self.created != created.0 {
            *self = Self { created: created.0, later: Vec::new() };
        }
        let newest = self.later.last().map_or(created.0, |life| life.epoch);
        self.later.retain(|life| life.after < after);
        self.later.push(Life { epoch: now.max(newest + 1), after });
    }
}

/// What is known of the event at a position: that it was stored then, or before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) position: Position,
    pub(crate) at: OffsetDateTime,
    /// Whether it was stored at this very time.
    pub(crate) is_exact: bool,
}

/// What the process knows of the lives. Shared by the clones of a topology.
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
    /// Where the event with this sequence lies, as far as lives were read.
    pub(crate) fn event_at(&self, sequence: u64) -> Position {
        self.lives.get().position(epoch_of(self.events.cached_info()), sequence)
    }

    /// The lives of `EVENTS`.
    pub(crate) async fn lives(&self) -> Result<Lives, async_nats::Error> {
        let lives = read(self.context()).await?;
        self.lives.set(&lives);
        Ok(lives)
    }

    /// Looks whether what is known of an event still holds, and begins another life of `EVENTS` if it does not. `stream`
    /// is `EVENTS` as it is found now.
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
                // Another projector has noticed, too.
                self.lives.set(&lives);
                return Ok(lives);
            }
            lives.begin(created, after, micros(OffsetDateTime::now_utc()));
            let json = Bytes::from(record::encode(&lives)?);
            if bucket.write(KEY, json, revision).await?.is_some() {
                let rollbacks = lives.later.len();
                tracing::error!(
                    known = %known.position, after, rollbacks,
                    "NATS came back with an older state of stream EVENTS; what was lost in it cannot be projected any \
                     more, and all that came since is projected as new"
                );
                self.lives.set(&lives);
                return Ok(lives);
            }
        }
        Err("others change the lives of stream EVENTS all the time".into())
    }
}

/// Whether the stream may still hold this event. One that was removed says nothing.
async fn holds(stream: &Stream, known: Known) -> Result<bool, async_nats::Error> {
    let sequence = known.position.sequence;
    if end::reaching(stream, sequence).await?.state.last_sequence < sequence {
        return Ok(false);
    }
    let found = at_leader::next(stream, "events.>", sequence).await?;
    Ok(found.filter(|message| message.sequence == sequence).is_none_or(|message| {
        if known.is_exact { message.time == known.at } else { message.time <= known.at + SKEW }
    }))
}

/// The last sequence that was stored at this time or before: halving what there is.
async fn last_before(stream: &Stream, at: OffsetDateTime) -> Result<u64, async_nats::Error> {
    let state = stream.get_info().await?.state;
    let (mut low, mut high) = (state.first_sequence, state.last_sequence.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match at_leader::next(stream, "events.>", middle).await? {
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
    match at_leader::last(&bucket.stream, &bucket.subject(KEY)).await? {
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
