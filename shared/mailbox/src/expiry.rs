//! Envelopes with a time to live, in the order in which they expire.
//!
//! Lists store no times. A read asks here which of its envelopes are *stale*: expired, but not yet removed. If expired
//! envelopes are removed regularly, that range is short and usually empty. An entry may outlive its envelope (replaced,
//! purged), so the caller checks the list first. Offsets are never reused, so an entry cannot refer to another
//! envelope, even if its slot was reused.

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

/// In seconds of the Unix epoch this is in 2106. An envelope that expires then or later never expires.
const NEVER: u32 = u32::MAX;

impl Expiry {
    pub(crate) fn insert(&mut self, at: u64, offset: u32, place: PlaceId) {
        let at = seconds(at);
        if at != NEVER {
            self.expiring.insert(Expiring { at, offset, place });
        }
    }

    /// Returns the envelopes that have expired by `now`, as (slot, offset), the earliest first.
    pub(crate) fn stale(&self, now: u64) -> impl Iterator<Item = (PlaceId, u32)> {
        let now = seconds(now);
        self.expiring.iter().take_while(move |entry| entry.at <= now).map(|entry| (entry.place, entry.offset))
    }

    /// Removes and returns the earliest of the envelopes that have expired by `now`.
    pub(crate) fn pop(&mut self, now: u64) -> Option<(PlaceId, u32)> {
        self.expiring.first().filter(|entry| entry.at <= seconds(now))?;
        self.expiring.pop_first().map(|entry| (entry.place, entry.offset))
    }

    /// Records that `count` sequences, all up to `floor`, are gone. It removes their entries only once per as many
    /// sequences as there are entries, so the work per sequence is constant.
    pub(crate) fn drop_through(&mut self, floor: u32, count: u64) {
        self.dropped_since_prune = self.dropped_since_prune.saturating_add(count);
        if self.dropped_since_prune >= self.expiring.len() as u64 {
            self.dropped_since_prune = 0;
            self.expiring.retain(|entry| entry.offset > floor);
        }
    }

    /// Removes entries at or below `floor` and counts offsets from `floor` on.
    pub(crate) fn rebase(&mut self, floor: u32) {
        let kept = std::mem::take(&mut self.expiring).into_iter().filter(|entry| entry.offset > floor);
        self.expiring = kept.map(|entry| Expiring { offset: entry.offset - floor, ..entry }).collect();
    }

    /// An estimate: the nodes of a tree that grows at its end are little more than half full.
    pub(crate) fn footprint(&self) -> usize {
        self.expiring.len() * size_of::<Expiring>() * 2
    }
}

fn seconds(time: u64) -> u32 {
    u32::try_from(time).unwrap_or(NEVER)
}
