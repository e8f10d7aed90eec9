//! A set of workers, by their numbers. Pure.
//!
//! There is one for each address at which somebody is connected. Most addresses are one user's, whose connections are at
//! one worker: so one worker takes no memory of its own.

/// Bits of one word.
const BITS: usize = u64::BITS as usize;

/// A set of workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WorkerSet {
    One(u32),
    /// A bit for each worker.
    Bits(Box<[u64]>),
}

const _: () = assert!(size_of::<WorkerSet>() <= 16, "every address of a connected user has one");

impl WorkerSet {
    /// The set of this worker alone.
    pub(super) fn of(worker: usize) -> Self {
        match u32::try_from(worker) {
            Ok(worker) => Self::One(worker),
            Err(_) => Self::bits([worker].into_iter()),
        }
    }

    pub(super) fn insert(&mut self, worker: usize) {
        match self {
            Self::One(one) if *one as usize == worker => {}
            Self::Bits(words) if worker / BITS < words.len() => words[worker / BITS] |= 1 << (worker % BITS),
            _ => *self = Self::bits(self.iter().chain([worker])),
        }
    }

    pub(super) fn remove(&mut self, worker: usize) {
        *self = match self {
            Self::One(one) if *one as usize != worker => return,
            Self::One(_) => Self::Bits(Box::default()),
            Self::Bits(words) => {
                if let Some(word) = words.get_mut(worker / BITS) {
                    *word &= !(1 << (worker % BITS));
                }
                let mut left = self.iter();
                match (left.next(), left.next()) {
                    (Some(one), None) => Self::of(one),
                    _ => return,
                }
            }
        };
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let (one, words): (_, &[u64]) = match self {
            Self::One(worker) => (Some(*worker as usize), &[]),
            Self::Bits(words) => (None, words),
        };
        let bits = (0..words.len() * BITS).filter(|worker| words[worker / BITS] >> (worker % BITS) & 1 == 1);
        one.into_iter().chain(bits)
    }

    fn bits(workers: impl Iterator<Item = usize>) -> Self {
        let mut words = Vec::new();
        for worker in workers {
            words.resize(words.len().max(worker / BITS + 1), 0);
            words[worker / BITS] |= 1 << (worker % BITS);
        }
        Self::Bits(words.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn like_a_set(first in 0..200usize, changes in prop::collection::vec((any::<bool>(), 0..200usize), 0..40)) {
            let (mut workers, mut expected) = (WorkerSet::of(first), BTreeSet::from([first]));
            for (is_new, worker) in changes {
                if is_new {
                    workers.insert(worker);
                    expected.insert(worker);
                } else {
                    workers.remove(worker);
                    expected.remove(&worker);
                }
                prop_assert_eq!(workers.iter().collect::<Vec<_>>(), expected.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(workers.is_empty(), expected.is_empty());
            }
        }
    }
}
