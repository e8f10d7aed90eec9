//! What a stream that was restored from a backup says of itself, in its metadata.
//!
//! nats-server gives a restored stream a new creation time, so it has another epoch, and no position of before the restore is
//! taken for one of after it. Its metadata say what that costs nobody:
//!
//! - `tidings.continues`, of a stream of envelopes: up to which sequence it has the messages of the streams that it continues.
//!   A position up to there has the same sequence in this one; a later one is of what was lost.
//! - `tidings.epoch`, of `EVENTS`: the epoch that it keeps. What it has stored since the restore is another life of it
//!   (`topology::lives`).
//! - `tidings.backup`: the backup that the stream comes from; `tidings.restoring`, of `EVENTS` until the restore is complete.

use std::collections::HashMap;

use tidings_model::{Epoch, Place, Position};

pub(crate) const EPOCH: &str = "tidings.epoch";
pub(crate) const CONTINUES: &str = "tidings.continues";
pub(crate) const BACKUP: &str = "tidings.backup";
pub(crate) const RESTORING: &str = "tidings.restoring";

/// The metadata of a stream.
pub(crate) type Metadata = HashMap<String, String>;

/// The epoch that the stream has kept; `None` if it is that of its creation.
pub(super) fn epoch(metadata: &Metadata) -> Option<Epoch> {
    let text = metadata.get(EPOCH)?;
    u64::from_str_radix(text, 16).ok().map(Epoch)
}

/// The last positions of the streams that a stream continues, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Continues(Vec<Position>);

/// A position of before a restore, in the restored stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Continued {
    pub(crate) position: Position,
    /// Whether it is of what was lost; then the position is the last one that was not.
    pub(crate) is_lost: bool,
}

impl Continues {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let text = metadata.get(CONTINUES).map_or("", String::as_str);
        Self(text.split_whitespace().filter_map(|position| position.parse().ok()).collect())
    }

    /// This stream was saved when it ended at this position.
    pub(crate) fn saved_at(mut self, end: Position) -> Self {
        self.0.push(end);
        self
    }

    /// As the metadata have it.
    pub(crate) fn to_text(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// Where a position is in the stream of this epoch; `None` if it is of no stream that it continues.
    pub(crate) fn translate(&self, position: Position, stream: Epoch) -> Option<Continued> {
        let generation_in =
            |end: &Position| Place::generation_of(position.epoch, end.epoch, Place::MOST_GENERATIONS);
        // The newest first: epochs rise, and those of a stream's generations follow its own.
        let (end, generation) = self.0.iter().rev().find_map(|end| Some((end, generation_in(end)?)))?;
        let epoch = Place { generation, ..Place::default() }.epoch(stream);
        let sequence = position.sequence.min(end.sequence);
        let is_lost = position.sequence > end.sequence;
        Some(Continued { position: Position { epoch, sequence }, is_lost })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, sequence: u64) -> Position {
        Position { epoch: Epoch(epoch), sequence }
    }

    #[test]
    fn a_position_is_carried_over_or_of_what_was_lost() {
        let continues = Continues::default().saved_at(at(100_000, 50)).saved_at(at(200_000, 80));
        let metadata = Metadata::from([(CONTINUES.to_owned(), continues.to_text())]);
        assert_eq!(Continues::of(&metadata), continues);
        for (position, expected) in [
            (at(100_000, 7), Some((at(300_000, 7), false))),
            (at(100_000, 50), Some((at(300_000, 50), false))),
            (at(100_000, 51), Some((at(300_000, 50), true))),
            (at(100_003, 7), Some((at(300_003, 7), false))),
            (at(200_000, 60), Some((at(300_000, 60), false))),
            (at(200_002, 81), Some((at(300_002, 80), true))),
            (at(99_999, 7), None),
            (at(150_000, 7), None),
            (at(300_000, 7), None),
        ] {
            let found = continues.translate(position, Epoch(300_000));
            assert_eq!(found.map(|found| (found.position, found.is_lost)), expected, "{position}");
        }
        assert_eq!(Continues::of(&Metadata::new()).translate(at(1, 1), Epoch(2)), None);
        let damaged = Metadata::from([(CONTINUES.to_owned(), "18f-5 nonsense -".to_owned())]);
        assert_eq!(Continues::of(&damaged), Continues::default().saved_at(at(0x18f, 5)));
    }
}
