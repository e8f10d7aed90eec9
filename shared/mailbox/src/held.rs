//! Which sequences are held, wherever they lie: one bit each.
//!
//! Lists are cleared of what retention drops a little later, address by address; this says at once
//! up to where something was dropped that somebody could still have read.

use std::collections::BTreeMap;

/// By the number of a word, 64 sequences; a word without any is not here.
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

    /// Forgets everything up to and including `floor`; returns the last of it, if there was any.
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

    /// Bytes, as a tree of half-filled to filled nodes takes them on average.
    pub(crate) fn footprint(&self) -> usize {
        self.0.len() * size_of::<(u64, u64)>() * 3 / 2
    }
}

const fn bit(sequence: u64) -> u64 {
    1 << (sequence % 64)
}

/// The highest sequence in a word that is not empty.
fn highest(number: u64, word: u64) -> u64 {
    number * 64 + u64::from(word.ilog2())
}
