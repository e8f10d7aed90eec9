//! The newest envelopes themselves, bounded in bytes.
//!
//! Invariant: what is held is an unbroken end of what was pushed, and its weights add up to at most the
//! capacity. So a sequence above [`HotTail::floor`] that is not here was never pushed: the stream has a gap there.

use std::collections::VecDeque;

/// The newest items of a stream, found by sequence. Memory beyond the items' weights is one small record
/// for each.
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

/// An item that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HotTailError {
    /// The stream was not followed in order, or an item came twice.
    #[error("sequence {sequence} came after {last}; the tail takes each sequence once, in ascending order")]
    NotAscending {
        /// The sequence that was refused.
        sequence: u64,
        /// The last sequence that was taken.
        last: u64,
    },
}

impl<T> HotTail<T> {
    /// An empty tail for at most `capacity` bytes, of a stream that is followed from after `floor` on.
    #[must_use]
    pub const fn new(capacity: usize, floor: u64) -> Self {
        Self { records: VecDeque::new(), floor, pushed: floor, weight: 0, capacity }
    }

    /// Adds the newest item, `weight` bytes in size, and drops the oldest until all weigh at most the
    /// capacity. One that is heavier than the capacity is not held either, nor is one below the floor.
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

    /// The item with this sequence.
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

    /// All that was pushed above this sequence is here.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// The highest sequence that the tail answers for.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.pushed.max(self.floor)
    }

    /// How many items are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What the items weigh together, in bytes.
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
