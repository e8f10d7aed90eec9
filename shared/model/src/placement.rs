//! The placement of a tenant: current, former and next place of its envelopes. Pure.
//!
//! Every position that was ever sent leads to its generation, as long as its stream exists. Generations are numbered
//! across all of a tenant's shards, so none is written twice.

use serde::{Deserialize, Serialize};

use crate::json::present;
use crate::{Epoch, Place, Position, ShardNumber};

/// The placement of a tenant. Tenants without an entry are in shard 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// The place where envelopes are written and read.
    pub current: PastPlacement,
    /// Earlier places, oldest first.
    pub former: Vec<PastPlacement>,
    /// The rebuild in progress, which becomes current.
    #[serde(deserialize_with = "present")]
    pub next: Option<Rebuild>,
    /// The newest cancelled generation. Its number is not used again: for a while the stream would treat envelopes of
    /// the same number as repetitions and not store them.
    #[serde(deserialize_with = "present")]
    pub cancelled: Option<u32>,
}

/// A place, and since when it was current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastPlacement {
    /// The place.
    pub place: Place,
    /// The position, in the place's own epoch, of the notice that made it current. `None` for a tenant's first place.
    #[serde(deserialize_with = "present")]
    pub since: Option<Position>,
}

/// A generation that is being rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebuild {
    /// Its place.
    pub place: Place,
    /// Events stored before this time, in seconds since 1970-01-01T00:00:00Z, are omitted. `None` rebuilds the
    /// envelopes of all retained events.
    #[serde(deserialize_with = "present")]
    pub since: Option<u64>,
    /// When the rebuild was requested, in seconds since 1970-01-01T00:00:00Z.
    pub requested_at: u64,
    /// The progress, once a projector has begun.
    #[serde(deserialize_with = "present")]
    pub progress: Option<Progress>,
}

/// The progress of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Projected events.
    pub events: u64,
    /// Remaining events, as far as known.
    pub left: u64,
    /// Written envelopes.
    pub envelopes: u64,
    /// Rejected events.
    pub rejected: u64,
    /// When a projector last reported it, in seconds since 1970-01-01T00:00:00Z.
    pub at: u64,
}

impl Placement {
    /// The placement of a tenant in this shard that was never rebuilt.
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

    /// Returns every place that holds, held or will hold envelopes.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let next = self.next.as_ref().map(|rebuild| rebuild.place);
        self.stays().map(|stay| stay.place).chain(next)
    }

    /// Requests a new generation in this shard, unless a rebuild is in progress. Returns whether it was requested.
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

    /// Cancels the requested rebuild and returns it.
    pub fn cancel(&mut self) -> Option<Rebuild> {
        let rebuild = self.next.take()?;
        self.cancelled = self.cancelled.max(Some(rebuild.place.generation));
        Some(rebuild)
    }

    /// Records that a place became current at this position. A repetition changes nothing.
    pub fn switch(&mut self, place: Place, since: Position) {
        if self.next.as_ref().is_some_and(|rebuild| rebuild.place == place) {
            self.next = None;
        }
        if place.generation > self.current.place.generation {
            self.former.push(self.current);
            self.current = PastPlacement { place, since: Some(since) };
        }
    }

    /// Replaces the positions of notices, since their streams were restored from a backup.
    pub fn translate(&mut self, translate: impl Fn(Position) -> Position) {
        for stay in self.former.iter_mut().chain([&mut self.current]) {
            stay.since = stay.since.map(&translate);
        }
    }

    /// Requests a new generation in the current shard, since nothing is left of the others but their numbers.
    pub fn begin_again(&mut self, now: u64) {
        self.cancel();
        self.former.clear();
        self.current.since = None;
        self.request(self.current.place.shard, None, now);
    }

    /// Returns the place of a position, where `stream` is the epoch of each shard's stream. Returns `None` if the
    /// position belongs to no existing stream.
    ///
    /// A connection that is open while a generation of the same stream becomes current continues in the epoch that it
    /// knows. So a position after the notice belongs to the generation that the notice made current.
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

    /// Returns the former places and the current one, oldest first.
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

    /// Rebuilt at 50 and at 90 of the first stream, then moved to the second one, then back.
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
    fn a_restored_stream_has_the_places_of_the_one_that_was_saved() {
        let mut placement = moved();
        let later = |position: Position| Position { epoch: Epoch(position.epoch.0 + 5_000), ..position };
        placement.translate(later);
        let restored = |shard| stream(shard).map(|epoch| Epoch(epoch.0 + 5_000));
        for position in [at(1_000, 49), at(1_000, 50), at(1_001, 95), at(2_003, 3), at(1_004, 3)] {
            let before = moved().stay_of(position, stream).map(|stay| stay.place);
            assert_eq!(
                placement.stay_of(later(position), restored).map(|stay| stay.place),
                before,
                "{position}"
            );
        }
        assert!(placement.request(ShardNumber(1), None, 0));
        placement.begin_again(7);
        assert_eq!(placement.stays().count(), 1);
        let next = placement.next.clone().unwrap();
        assert_eq!((next.place.generation, next.place.shard), (6, placement.current.place.shard));
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
