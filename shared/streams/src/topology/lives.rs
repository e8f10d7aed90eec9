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

use serde::{Deserialize, Serialize};
use tidings_model::{Epoch, Position};
use time::OffsetDateTime;

use crate::nats::record::Record;

mod bucket;

pub(crate) use self::bucket::{holds, read};

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
