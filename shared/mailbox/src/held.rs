//! The set of held sequences at any address, one bit each.
//!
//! Lists are cleared of dropped envelopes a little later, address by address. This set shows at once up to where
//! retention dropped an envelope that a reader could still have received.

use std::collections::BTreeMap;

/// Words of 64 sequences by number. Empty words are not stored.
#[derive(Debug, Default)]
pub(crate) struct Held(BTreeMap<u64, u64>);

impl Held {
    pub(crate) fn insert(&mut self, sequence: u64) {
        *self.0.entry(sequence / 64).or_default() |= bit(sequence);
    }

    pub(crate) fn remove(&mut self, sequence: u64) {
        if let Some(word) = self.0.get_mut(&(sequence / 64)) {
            *word &= !bit(sequence);
            if *word == 0 {
                self.0.remove(&(sequence / 64));
            }
        }
    }

    /// Removes everything up to and including `floor`. Returns the last removed sequence, if any.
    pub(crate) fn drop_through(&mut self, floor: u64) -> Option<u64> {
        let kept = self.0.split_off(&(floor / 64));
        let dropped = std::mem::replace(&mut self.0, kept);
        let mut last = dropped.last_key_value().map(|(number, word)| highest(*number, *word));
        if let Some(word) = self.0.get_mut(&(floor / 64)) {
            let through = bit(floor) | (bit(floor) - 1);
            if *word & through != 0 {
                last = Some(highest(floor / 64, *word & through));
            }
            *word &= !through;
            if *word == 0 {
                self.0.remove(&(floor / 64));
            }
        }
        last
    }

    /// The memory in bytes, for nodes of average fill.
    pub(crate) fn footprint(&self) -> usize {
        self.0.len() * size_of::<(u64, u64)>() * 3 / 2
    }
}

const fn bit(sequence: u64) -> u64 {
    1 << (sequence % 64)
}

/// The highest sequence in a non-empty word.
fn highest(number: u64, word: u64) -> u64 {
    number * 64 + u64::from(word.ilog2())
}
