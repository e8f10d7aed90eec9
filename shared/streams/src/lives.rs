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

use serde::{Deserialize, Serialize};
use tidings_model::{Epoch, Position};
use time::OffsetDateTime;

use crate::record::Record;

mod bucket;

pub(crate) use self::bucket::read;

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
