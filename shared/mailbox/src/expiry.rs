//! Envelopes with a time to live, in the order in which they expire.
//!
//! Lists hold nothing about time; a read asks here which of its envelopes are *stale*: expired,
//! but not yet removed. When removal runs regularly that is a short range, and usually an empty one. An
//! entry may outlive its envelope (replaced, purged): whoever uses it looks into the list first. Offsets are
//! never given out twice, so an entry cannot speak of another envelope, even where its slot was reused.

use std::collections::BTreeSet;

use crate::directory::PlaceId;

#[derive(Debug, Default)]
pub(crate) struct Expiry {
    expiring: BTreeSet<Expiring>,
    dropped_since_prune: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Expiring {
    /// Seconds; [`NEVER`] is not stored.
    at: u32,
    offset: u32,
    place: PlaceId,
}

/// As seconds of the Unix epoch this lies in 2106. What expires then or later does not expire.
const NEVER: u32 = u32::MAX;

impl Expiry {
    pub(crate) fn insert(&mut self, at: u64, offset: u32, place: PlaceId) {
        let at = seconds(at);
        if at != NEVER {
            self.expiring.insert(Expiring { at, offset, place });
        }
    }

    /// What has expired by `now`, as (slot, offset), the longest expired first.
    pub(crate) fn stale(&self, now: u64) -> impl Iterator<Item = (PlaceId, u32)> {
        let now = seconds(now);
        self.expiring.iter().take_while(move |entry| entry.at <= now).map(|entry| (entry.place, entry.offset))
    }

    /// Forgets the longest expired of what has expired by `now` and returns it.
    pub(crate) fn pop(&mut self, now: u64) -> Option<(PlaceId, u32)> {
        self.expiring.first().filter(|entry| entry.at <= seconds(now))?;
        self.expiring.pop_first().map(|entry| (entry.place, entry.offset))
    }

    /// Takes note that `count` sequences, all up to `floor`, are gone. Forgets them once in as many
    /// sequences as there are entries, which is constant work for each.
    pub(crate) fn drop_through(&mut self, floor: u32, count: u64) {
        self.dropped_since_prune = self.dropped_since_prune.saturating_add(count);
        if self.dropped_since_prune >= self.expiring.len() as u64 {
            self.dropped_since_prune = 0;
            self.expiring.retain(|entry| entry.offset > floor);
        }
    }

    /// Forgets what lies at or below `floor` and counts offsets from `floor` on.
    pub(crate) fn rebase(&mut self, floor: u32) {
        let kept = std::mem::take(&mut self.expiring).into_iter().filter(|entry| entry.offset > floor);
        self.expiring = kept.map(|entry| Expiring { offset: entry.offset - floor, ..entry }).collect();
    }

    /// An estimate: nodes of a tree that grows at its end are little more than half full.
    pub(crate) fn footprint(&self) -> usize {
        self.expiring.len() * size_of::<Expiring>() * 2
    }
}

fn seconds(time: u64) -> u32 {
    u32::try_from(time).unwrap_or(NEVER)
}
