//! Where a tenant's envelopes are, were before, and are about to be. Pure.
//!
//! What is promised: a position that was ever given out leads to the generation in which it was meant, as long as its
//! stream is there; and generations are numbered through all of a tenant's shards, so none is ever written twice.

use serde::{Deserialize, Serialize};

use crate::json::present;
use crate::{Epoch, Place, Position, ShardNumber};

/// Where a tenant's envelopes are. Of whom nothing was said, they are in the first shard.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Where they are written and read.
    pub current: PastPlacement,
    /// Where they were before, oldest first.
    pub former: Vec<PastPlacement>,
    /// What is being made, to become current.
    #[serde(deserialize_with = "present")]
    pub next: Option<Rebuild>,
    /// The newest generation that was cancelled. Its number is not given again: for a while the stream takes envelopes
    /// of the same number for repetitions, and does not store them.
    #[serde(deserialize_with = "present")]
    pub cancelled: Option<u32>,
}

/// A place, and since when it was the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastPlacement {
    /// The place.
    pub place: Place,
    /// The position, in the place's own epoch, of the notice by which it became current; none for a tenant's first.
    #[serde(deserialize_with = "present")]
    pub since: Option<Position>,
}

/// A generation that is being made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebuild {
    /// Where it will be.
    pub place: Place,
    /// Events that were stored before this time, in seconds since 1970-01-01T00:00:00Z, are left out; without it, the
    /// envelopes of all events that are retained are made.
    #[serde(deserialize_with = "present")]
    pub since: Option<u64>,
    /// When it was asked for, in seconds since 1970-01-01T00:00:00Z.
    pub requested_at: u64,
    /// How far it is, once a projector has begun.
    #[serde(deserialize_with = "present")]
    pub progress: Option<Progress>,
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Events that were projected.
    pub events: u64,
    /// Events that are left, as far as is known.
    pub left: u64,
    /// Envelopes that were written.
    pub envelopes: u64,
    /// Events that the catalog rejects.
    pub rejected: u64,
    /// When a projector last said so, in seconds since 1970-01-01T00:00:00Z.
    pub at: u64,
}

impl Placement {
    /// That of a tenant whose envelopes are in this shard and were never made anew.
    #[must_use]
    pub fn first(shard: ShardNumber) -> Self {
        let place = Place { shard, generation: 0 };
        Self {
            current: PastPlacement { place, since: None },
            former: Vec::new(),
            next: None,
            cancelled: None,
        }
    }

    /// Every place that holds, held, or is being given envelopes.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let next = self.next.as_ref().map(|rebuild| rebuild.place);
        self.stays().map(|stay| stay.place).chain(next)
    }

    /// Asks for a new generation in this shard, unless one is being made already. Returns whether it is asked for now.
    pub fn request(&mut self, shard: ShardNumber, since: Option<u64>, now: u64) -> bool {
        if self.next.is_some() {
            return false;
        }
        let made = self.places().map(|place| place.generation);
        let newest = made.chain(self.cancelled).max().unwrap_or_default();
        let place = Place { shard, generation: newest + 1 };
        self.next = Some(Rebuild { place, since, requested_at: now, progress: None });
        true
    }

    /// Ends what was asked for, and returns it.
    pub fn cancel(&mut self) -> Option<Rebuild> {
        let rebuild = self.next.take()?;
        self.cancelled = self.cancelled.max(Some(rebuild.place.generation));
        Some(rebuild)
    }

    /// A place became current at this position. Says nothing new if it was so before.
    pub fn switch(&mut self, place: Place, since: Position) {
        if self.next.as_ref().is_some_and(|rebuild| rebuild.place == place) {
            self.next = None;
        }
        if place.generation > self.current.place.generation {
            self.former.push(self.current);
            self.current = PastPlacement { place, since: Some(since) };
        }
    }

    /// In which stay a position was meant, where `stream` is the epoch of each shard's stream; `None` if it is from no
    /// stream that is there.
    ///
    /// Whoever is connected while a generation of the same stream becomes current goes on counting in the epoch
    /// that it knows; so what lies behind a notice belongs to the generation that it is about.
    pub fn stay_of(
        &self,
        position: Position,
        stream: impl Fn(ShardNumber) -> Option<Epoch>,
    ) -> Option<PastPlacement> {
        let epoch = |stay: &PastPlacement| stream(stay.place.shard).map(|stream| stay.place.epoch(stream));
        let mut stays = self.stays().skip_while(|stay| epoch(stay) != Some(position.epoch));
        let mut found = stays.next()?;
        for later in stays {
            let since = later.since.filter(|since| epoch(later) == Some(since.epoch));
            let goes_on = later.place.shard == found.place.shard
                && since.is_some_and(|since| since.sequence <= position.sequence);
            if !goes_on {
                break;
            }
            found = later;
        }
        Some(*found)
    }

    /// Where they were and are, oldest first.
    pub fn stays(&self) -> impl Iterator<Item = &PastPlacement> {
        self.former.iter().chain([&self.current])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: [Epoch; 2] = [Epoch(1_000), Epoch(2_000)];

    fn stream(shard: ShardNumber) -> Option<Epoch> {
        STREAMS.get(usize::from(shard.0)).copied()
    }

    fn at(epoch: u64, sequence: u64) -> Position {
        Position { epoch: Epoch(epoch), sequence }
    }

    /// Made anew at 50 and at 90 of the first stream, then moved to the second one, then back.
    fn moved() -> Placement {
        let mut placement = Placement::first(ShardNumber(0));
        for (shard, epoch, sequence) in [(0, 1_001, 50), (0, 1_002, 90), (1, 2_003, 10), (0, 1_004, 200)] {
            assert!(placement.request(ShardNumber(shard), None, 0));
            assert!(!placement.request(ShardNumber(shard), None, 0), "one at a time");
            let place = placement.next.clone().unwrap().place;
            placement.switch(place, at(epoch, sequence));
            placement.switch(place, at(epoch, sequence));
            assert_eq!(placement.next, None);
        }
        placement
    }

    #[test]
    fn positions_lead_to_the_generation_in_which_they_were_meant() {
        let placement = moved();
        for (position, generation) in [
            (at(1_000, 49), Some(0)),
            (at(1_000, 50), Some(1)),
            (at(1_000, 89), Some(1)),
            (at(1_000, 90), Some(2)),
            (at(1_000, 300), Some(2)),
            (at(1_001, 3), Some(1)),
            (at(1_001, 95), Some(2)),
            (at(1_002, 3), Some(2)),
            (at(2_003, 3), Some(3)),
            (at(2_003, 400), Some(3)),
            (at(1_004, 3), Some(4)),
            (at(1_003, 3), None),
            (at(999, 3), None),
            (at(2_000, 3), None),
        ] {
            let stay = placement.stay_of(position, stream);
            assert_eq!(stay.map(|stay| stay.place.generation), generation, "{position}");
        }
    }

    #[test]
    fn generations_are_numbered_through_all_shards() {
        let placement = moved();
        let places: Vec<_> = placement.places().map(|place| (place.shard.0, place.generation)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (0, 2), (1, 3), (0, 4)]);
    }

    #[test]
    fn the_number_of_a_cancelled_generation_is_not_given_again() {
        let mut placement = moved();
        assert_eq!(placement.cancel(), None);
        for generation in [5, 6] {
            assert!(placement.request(ShardNumber(1), None, 0));
            assert_eq!(placement.cancel().unwrap().place.generation, generation);
        }
        let json = serde_json::to_string(&placement).unwrap();
        assert_eq!(serde_json::from_str::<Placement>(&json).unwrap(), placement);
        assert!(placement.request(ShardNumber(0), None, 0));
        assert_eq!(placement.next.clone().unwrap().place.generation, 7);
        assert_eq!(placement.current, moved().current);
    }

    #[test]
    fn a_stream_that_was_made_anew_knows_no_old_positions() {
        let placement = moved();
        let anew = |shard: ShardNumber| (shard.0 == 0).then_some(Epoch(5_000));
        assert_eq!(placement.stay_of(at(1_000, 3), anew), None);
        assert_eq!(placement.stay_of(at(5_004, 3), anew), Some(placement.current));
    }

    #[test]
    fn a_placement_is_kept_as_it_is() {
        let mut placement = moved();
        assert!(placement.request(ShardNumber(1), Some(7), 9));
        let json = serde_json::to_string(&placement).unwrap();
        assert_eq!(serde_json::from_str::<Placement>(&json).unwrap(), placement);
        assert_eq!(
            serde_json::to_string(&Placement::first(ShardNumber(0))).unwrap(),
            r#"{"current":{"place":{"shard":0,"generation":0},"since":null},"former":[],"next":null,"cancelled":null}"#
        );
    }
}
