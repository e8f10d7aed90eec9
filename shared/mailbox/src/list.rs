//! The envelopes at one address, as ascending four-byte offsets from the mailbox's base.
//!
//! Most addresses hold a handful of envelopes; a few (`all`, a busy topic) hold very many. So up to [`INLINE`] offsets
//! are stored in the list itself, within the size of the deque that stores more. The deque makes the two common
//! removals cheap: retention removes at the front, and a removal elsewhere moves only the shorter side.
//!
//! Invariant: offsets are strictly ascending, and after a removal a list of at most [`INLINE`] offsets owns no heap
//! memory.

use std::collections::VecDeque;

/// The number of offsets that fit beside the discriminant in the size of a `VecDeque`.
const INLINE: usize = 5;

#[derive(Debug)]
pub(crate) enum List {
    Few { len: u8, offsets: [u32; INLINE] },
    Many(VecDeque<u32>),
}

/// A part of a list, in order: the first slice, then the second.
#[derive(Debug)]
pub(crate) struct Run<'a>(&'a [u32], &'a [u32]);

impl List {
    pub(crate) const fn new() -> Self {
        Self::Few { len: 0, offsets: [0; INLINE] }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few { len, .. } => usize::from(*len),
            Self::Many(offsets) => offsets.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Few { .. } => 0,
            Self::Many(offsets) => offsets.capacity() * size_of::<u32>(),
        }
    }

    /// Adds an offset greater than all others.
    pub(crate) fn push(&mut self, offset: u32) {
        match self {
            Self::Few { len, offsets } => {
                if let Some(free) = offsets.get_mut(usize::from(*len)) {
                    *free = offset;
                    *len += 1;
                } else {
                    let mut many = VecDeque::with_capacity(grown(INLINE));
                    many.extend(offsets.iter().copied());
                    many.push_back(offset);
                    *self = Self::Many(many);
                }
            }
            Self::Many(offsets) => {
                if offsets.len() == offsets.capacity() {
                    offsets.reserve_exact(grown(offsets.len()) - offsets.len());
                }
                offsets.push_back(offset);
            }
        }
    }

    /// The offsets greater than `offset`.
    pub(crate) fn after(&self, offset: u32) -> Run<'_> {
        let Run(front, back) = self.run();
        let front = &front[front.partition_point(|held| *held <= offset)..];
        let back = &back[back.partition_point(|held| *held <= offset)..];
        Run(front, back)
    }

    pub(crate) fn contains(&self, offset: u32) -> bool {
        let Run(front, back) = self.run();
        front.binary_search(&offset).is_ok() || back.binary_search(&offset).is_ok()
    }

    /// Removes one offset. Returns whether it was there.
    pub(crate) fn remove(&mut self, offset: u32) -> bool {
        match self {
            Self::Few { len, offsets } => {
                let held = &mut offsets[..usize::from(*len)];
                let Ok(found) = held.binary_search(&offset) else {
                    return false;
                };
                held.copy_within(found + 1.., found);
                *len -= 1;
            }
            Self::Many(offsets) => {
                let Ok(found) = offsets.binary_search(&offset) else {
                    return false;
                };
                offsets.remove(found);
            }
        }
        self.give_back();
        true
    }

    /// Removes all offsets up to and including `offset`.
    pub(crate) fn drop_through(&mut self, offset: u32) {
        match self {
            Self::Few { len, offsets } => {
                let held = &mut offsets[..usize::from(*len)];
                let dropped = held.partition_point(|held| *held <= offset);
                held.copy_within(dropped.., 0);
                *len = len.saturating_sub(u8::try_from(dropped).unwrap_or(u8::MAX));
            }
            Self::Many(offsets) => {
                let dropped = offsets.partition_point(|held| *held <= offset);
                offsets.drain(..dropped);
            }
        }
        self.give_back();
    }

    /// Subtracts `delta` from every offset. None of them is smaller than `delta`.
    pub(crate) fn shift_down(&mut self, delta: u32) {
        match self {
            Self::Few { len, offsets } => {
                offsets[..usize::from(*len)].iter_mut().for_each(|offset| *offset -= delta);
            }
            Self::Many(offsets) => offsets.iter_mut().for_each(|offset| *offset -= delta),
        }
    }

    fn run(&self) -> Run<'_> {
        match self {
            Self::Few { len, offsets } => Run(&offsets[..usize::from(*len)], &[]),
            Self::Many(offsets) => {
                let (front, back) = offsets.as_slices();
                Run(front, back)
            }
        }
    }

    /// Frees memory after removals, late enough that a list of changing length does not reallocate each time.
    fn give_back(&mut self) {
        let Self::Many(many) = self else { return };
        if many.len() <= INLINE {
            let mut few = Self::new();
            for offset in many.iter() {
                few.push(*offset);
            }
            *self = few;
        } else if many.len() < many.capacity() / 4 {
            many.shrink_to(grown(many.len()));
        }
    }
}

/// The capacity of a list that holds `len` offsets and needs more. Growth by half wastes a sixth on average; doubling
/// would waste a quarter.
const fn grown(len: usize) -> usize {
    len + if len < 8 { 4 } else { len / 2 }
}

impl Run<'_> {
    pub(crate) const fn len(&self) -> usize {
        self.0.len() + self.1.len()
    }
}

impl Iterator for Run<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.0.is_empty() {
            (self.0, self.1) = (self.1, &[]);
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use proptest::prelude::*;

    use super::{INLINE, List};

    #[derive(Debug, Clone)]
    enum Change {
        Push(u32),
        Remove(u32),
        DropThrough(u32),
        ShiftDown(u32),
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let change = prop_oneof![
            12 => (1..9_u32).prop_map(Change::Push),
            3 => (0..400_u32).prop_map(Change::Remove),
            1 => (0..400_u32).prop_map(Change::DropThrough),
            1 => (0..400_u32).prop_map(Change::ShiftDown),
        ];
        proptest::collection::vec(change, 0..120)
    }

    proptest! {
        #[test]
        fn a_list_is_an_ordered_set(changes in changes(), probe in 0..400_u32) {
            let (mut list, mut naive, mut last) = (List::new(), BTreeSet::new(), 0);
            for change in changes {
                match change {
                    Change::Push(step) => {
                        last += step;
                        list.push(last);
                        naive.insert(last);
                    }
                    Change::Remove(offset) => {
                        prop_assert_eq!(list.remove(offset), naive.remove(&offset));
                    }
                    Change::DropThrough(offset) => {
                        list.drop_through(offset);
                        naive.retain(|held| *held > offset);
                    }
                    Change::ShiftDown(delta) => {
                        let delta = delta.min(naive.first().copied().unwrap_or(0));
                        list.shift_down(delta);
                        naive = naive.into_iter().map(|offset| offset - delta).collect();
                        last -= delta.min(last);
                    }
                }
                let expected: Vec<u32> = naive.range(probe + 1..).copied().collect();
                prop_assert_eq!(list.after(probe).len(), expected.len());
                prop_assert_eq!(list.after(probe).collect::<Vec<_>>(), expected);
                prop_assert_eq!(list.contains(probe), naive.contains(&probe));
                prop_assert_eq!(list.len(), naive.len());
                prop_assert!(list.heap_bytes() <= 4 * (4 * list.len() + 4));
            }
        }
    }

    #[test]
    fn inline_offsets_cost_no_more_than_the_deque() {
        assert_eq!(size_of::<List>(), size_of::<VecDeque<u32>>());
        let mut list = List::new();
        (0..5).for_each(|offset| list.push(offset));
        assert_eq!((list.len(), list.heap_bytes()), (INLINE, 0));
    }

    #[test]
    fn removals_return_memory() {
        let mut list = List::new();
        (0..1000).for_each(|offset| list.push(offset));
        for offset in 5..1000 {
            assert!(list.remove(offset));
            assert!(list.heap_bytes() <= 4 * (4 * list.len() + 4));
        }
        assert_eq!((list.len(), list.heap_bytes()), (5, 0));
    }
}
