//! The newest envelopes, bounded in bytes.
//!
//! Invariant: the items are an uninterrupted end of the pushed sequence, and their weights add up to at most the
//! capacity. So a sequence above [`HotTail::floor`] that is not here was never pushed: the stream has a gap there.

use std::collections::VecDeque;

/// The newest items of a stream, by sequence. Besides the items' weights, each needs memory for one small record.
#[derive(Debug)]
pub struct HotTail<T> {
    records: VecDeque<Record<T>>,
    floor: u64,
    /// The last sequence that was pushed; below the floor when retention has overtaken the follower.
    pushed: u64,
    weight: usize,
    capacity: usize,
}

#[derive(Debug)]
struct Record<T> {
    sequence: u64,
    weight: usize,
    item: T,
}

/// Why an item is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HotTailError {
    /// The stream was not followed in order, or an item was pushed twice.
    #[error("sequence {sequence} came after {last}; the tail takes each sequence once, in ascending order")]
    NotAscending {
        /// The refused sequence.
        sequence: u64,
        /// The last accepted sequence.
        last: u64,
    },
}

impl<T> HotTail<T> {
    /// Creates an empty tail of at most `capacity` bytes, for a stream that is followed after `floor`.
    #[must_use]
    pub const fn new(capacity: usize, floor: u64) -> Self {
        Self { records: VecDeque::new(), floor, pushed: floor, weight: 0, capacity }
    }

    /// Adds the newest item, which has `weight` bytes, and drops the oldest items until the total is within the
    /// capacity. An item that is heavier than the capacity, or below the floor, is not kept.
    pub fn push(&mut self, sequence: u64, item: T, weight: usize) -> Result<(), HotTailError> {
        if sequence <= self.pushed {
            return Err(HotTailError::NotAscending { sequence, last: self.pushed });
        }
        self.pushed = sequence;
        if sequence <= self.floor {
            return Ok(());
        }
        self.weight = self.weight.saturating_add(weight);
        self.records.push_back(Record { sequence, weight, item });
        while self.weight > self.capacity {
            self.drop_oldest();
        }
        Ok(())
    }

    /// Returns the item with this sequence.
    #[must_use]
    pub fn get(&self, sequence: u64) -> Option<&T> {
        let index = self.records.binary_search_by_key(&sequence, |record| record.sequence).ok()?;
        self.records.get(index).map(|record| &record.item)
    }

    /// Drops all items before `first`, the first sequence that the stream holds.
    pub fn retain_from(&mut self, first: u64) {
        while self.records.front().is_some_and(|record| record.sequence < first) {
            self.drop_oldest();
        }
        self.floor = self.floor.max(first.saturating_sub(1));
    }

    /// Everything that was pushed after this sequence is here.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// The highest sequence that the tail knows.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.pushed.max(self.floor)
    }

    /// The number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns whether the tail is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The total weight of the items, in bytes.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.weight
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.records.pop_front() {
            self.weight -= oldest.weight;
            self.floor = oldest.sequence;
        }
    }
}
