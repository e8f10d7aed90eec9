//! Finds the newest envelope of each `latest` subject, so that the next one can replace it.
//!
//! A subject is stored as a 96-bit fingerprint: two hashes with independent random keys. If two subjects shared one,
//! the older envelope would be lost from the mailbox, so the probability must be negligible. 10⁹ subjects that arrive
//! while 10⁶ others are held make 10¹⁵ pairs, and 10¹⁵ / 2⁹⁶ is about 10⁻¹⁴. The address is part of the hashed text, so
//! a collision cannot deliver one user's envelope to another.
//!
//! An entry may outlive its envelope (expired, purged). That is harmless: it refers to an offset that is in no list and
//! is never used again. Retention removes it.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

#[derive(Debug, Default)]
pub(crate) struct Latest {
    hashers: [RandomState; 2],
    newest: HashTable<Newest>,
    dropped_since_prune: u64,
}

#[derive(Debug)]
struct Newest {
    fingerprint: Fingerprint,
    offset: u32,
}

type Fingerprint = [u32; 3];

impl Latest {
    /// Records the newest envelope of a subject and returns the offset of the previous one.
    pub(crate) fn replace(&mut self, subject: (&str, &str, &str), offset: u32) -> Option<u32> {
        let fingerprint = self.fingerprint(subject);
        let same = |newest: &Newest| newest.fingerprint == fingerprint;
        if let Some(newest) = self.newest.find_mut(table_hash(&fingerprint), same) {
            return Some(std::mem::replace(&mut newest.offset, offset));
        }
        self.newest.insert_unique(table_hash(&fingerprint), Newest { fingerprint, offset }, |newest| {
            table_hash(&newest.fingerprint)
        });
        None
    }

    /// Records that `count` sequences, all up to `floor`, are gone. It removes their entries only once per as many
    /// sequences as there are subjects, so the work per sequence is constant.
    pub(crate) fn drop_through(&mut self, floor: u32, count: u64) {
        self.dropped_since_prune = self.dropped_since_prune.saturating_add(count);
        if self.dropped_since_prune >= self.newest.len() as u64 {
            self.dropped_since_prune = 0;
            self.newest.retain(|newest| newest.offset > floor);
            if self.newest.len() < self.newest.capacity() / 4 {
                self.newest.shrink_to(self.newest.len() * 2, |newest| table_hash(&newest.fingerprint));
            }
        }
    }

    /// Removes entries at or below `floor` and counts offsets from `floor` on.
    pub(crate) fn rebase(&mut self, floor: u32) {
        self.newest.retain(|newest| newest.offset > floor);
        self.newest.iter_mut().for_each(|newest| newest.offset -= floor);
    }

    pub(crate) fn footprint(&self) -> usize {
        self.newest.allocation_size()
    }

    fn fingerprint(&self, subject: (&str, &str, &str)) -> Fingerprint {
        let [first, second] = &self.hashers;
        let (first, second) = (first.hash_one(subject), second.hash_one(subject));
        [low_half(first), low_half(first >> 32), low_half(second)]
    }
}

fn table_hash(fingerprint: &Fingerprint) -> u64 {
    let [low, high, _] = *fingerprint;
    u64::from(high) << 32 | u64::from(low)
}

fn low_half(hash: u64) -> u32 {
    u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}
