//! Reading: the lists of several addresses as one ascending sequence.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::list::Run;

/// What a reader asks for: the envelopes at these addresses, beyond a position, at a time.
#[derive(Debug)]
pub struct Query<'a, A> {
    /// The tenant of all the addresses.
    pub tenant: &'a str,
    /// The addresses that the reader's keys open, in any order. One that is named twice is read once.
    pub addresses: &'a [A],
    /// The sequence up to which the reader has everything.
    pub after: u64,
    /// Seconds on the clock of [`Entry::expires_at`](crate::Entry::expires_at): what has expired by then is skipped.
    pub now: u64,
}

impl<A> Clone for Query<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Query<'_, A> {}

/// Part of an answer, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The envelopes, strictly ascending by sequence.
    pub found: Vec<Found>,
    /// The reader has everything up to here once it has what was found: the `after` of the next page. Where
    /// it has reached the `through` that was asked for, or [`Mailbox::head`](crate::Mailbox::head), the answer is complete.
    pub read_through: u64,
}

/// One envelope that a reader may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its stream sequence.
    pub sequence: u64,
    /// Where it lies: an index into [`Query::addresses`], the first where an address is named twice.
    pub address: usize,
}

/// The position lies below the mailbox's floor, so what followed it is not all here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "nothing is known of the envelopes between {after} and {floor}; read from {floor} on, or the stream itself"
)]
pub struct NotCovered {
    /// The position that was asked for.
    pub after: u64,
    /// The lowest position that can be answered for.
    pub floor: u64,
}

/// Merges runs into at most `limit` pairs of offset and label, ascending, up to and including `through`.
/// `stale`, ascending, is left out.
pub(crate) fn merge(
    mut runs: Vec<(usize, Run<'_>)>,
    stale: &[u32],
    through: u32,
    limit: usize,
) -> Vec<(u32, usize)> {
    let available = runs.iter().map(|(_, run)| run.len()).sum::<usize>();
    let mut merged = Vec::with_capacity(available.min(limit));
    let mut heads: BinaryHeap<_> = runs
        .iter_mut()
        .enumerate()
        .filter_map(|(index, (_, run))| Some(Reverse((run.next()?, index))))
        .collect();
    while merged.len() < limit {
        let Some(mut lowest) = heads.peek_mut() else {
            break;
        };
        let Reverse((offset, index)) = *lowest;
        if offset > through {
            break;
        }
        let (label, run) = &mut runs[index];
        if stale.binary_search(&offset).is_err() {
            merged.push((offset, *label));
        }
        match run.next() {
            Some(next) => *lowest = Reverse((next, index)),
            None => {
                PeekMut::pop(lowest);
            }
        }
    }
    merged
}
