//! What a reader finds when it looks at `EVENTS`, and what it compares that with.

use std::collections::VecDeque;
use std::sync::Arc;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::stream::Stream;
use tidings_model::Epoch;

use crate::topology::lives::{Known, Lives};

/// How `EVENTS` was found.
pub(super) struct Found {
    pub(super) stream: Arc<Stream>,
    pub(super) consumer: PullConsumer,
    pub(super) begun: Option<Life>,
}

/// Another life of the stream than the reader knows.
pub(super) struct Life {
    pub(super) created: Epoch,
    pub(super) lives: Lives,
    /// The sequence after which it is read; `None` if the reader has read it up to its cursor, without knowing its name.
    pub(super) after: Option<u64>,
}

/// How many of the last events are remembered.
const RECENT: usize = 1_024;

/// The last events that a reader returned, ascending. By them it tells whether what it has read is what the stream holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent(VecDeque<Known>);

impl Recent {
    pub(super) fn note(&mut self, event: Known) {
        if self.0.len() == RECENT {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    pub(super) fn last(&self) -> Option<Known> {
        self.0.back().copied()
    }

    /// The first and the last event that was returned after this sequence; `None` if the first is not known any more.
    pub(super) fn after(&self, sequence: u64) -> Option<[Known; 2]> {
        let start = self.0.partition_point(|event| event.position.sequence <= sequence);
        let first = self.0.get(start).copied()?;
        let is_first = start > 0 || first.position.sequence == sequence + 1;
        Some([first, self.last()?]).filter(|_| is_first)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The events belong to these lives of the stream.
    pub(super) fn relabel(&mut self, created: Epoch, lives: &Lives) {
        for event in &mut self.0 {
            event.position = lives.position(created, event.position.sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use tidings_model::Position;
    use time::OffsetDateTime;

    use super::*;

    fn returned(sequences: impl IntoIterator<Item = u64>) -> Recent {
        let mut recent = Recent::default();
        for sequence in sequences {
            let position = Position { epoch: Epoch(1), sequence };
            recent.note(Known { position, at: OffsetDateTime::UNIX_EPOCH, is_exact: true });
        }
        recent
    }

    #[test]
    fn the_first_event_after_a_sequence_is_known_or_not() {
        for (recent, after, expected) in [
            (returned([5, 6, 9]), 5, Some([6, 9])),
            (returned([5, 6, 9]), 7, Some([9, 9])),
            (returned([5, 6, 9]), 4, Some([5, 9])),
            (returned([5, 6, 9]), 3, None),
            (returned([5, 6, 9]), 9, None),
            (returned([]), 0, None),
            (returned(1..=2_000), 1_000, Some([1_001, 2_000])),
            (returned(1..=2_000), 900, None),
        ] {
            let found = recent.after(after).map(|events| events.map(|event| event.position.sequence));
            assert_eq!(found, expected, "after {after}");
        }
    }
}
