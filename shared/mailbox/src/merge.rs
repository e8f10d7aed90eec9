//! Merges the lists of several addresses into one ascending sequence.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::list::Run;

/// A read: the envelopes at these addresses after a position, at a time.
#[derive(Debug)]
pub struct Query<'a, A> {
    /// The tenant of all the addresses.
    pub tenant: &'a str,
    /// The addresses that the reader's grants open, in any order. Duplicates are read once.
    pub addresses: &'a [A],
    /// The reader has everything up to this sequence.
    pub after: u64,
    /// The time in seconds, on the clock of [`Entry::expires_at`](crate::Entry::expires_at). Envelopes that have
    /// expired by then are skipped.
    pub now: u64,
}

impl<A> Clone for Query<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Query<'_, A> {}

/// A part of a query's result, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The envelopes, strictly ascending by sequence.
    pub found: Vec<Found>,
    /// The reader has everything up to here once it has `found`; the `after` of the next page. If this is the requested
    /// `through`, or [`Mailbox::head`](crate::Mailbox::head), the result is complete.
    pub read_through: u64,
}

/// An envelope of a query's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its stream sequence.
    pub sequence: u64,
    /// Its address: an index into [`Query::addresses`], the first one for duplicates.
    pub address: usize,
}

/// The position is below the mailbox's floor, so some envelopes after it are not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the envelopes between {after} and {floor} are not indexed; read from {floor} on, or the stream itself"
)]
pub struct NotCovered {
    /// The requested position.
    pub after: u64,
    /// The lowest position that can be read from.
    pub floor: u64,
}

/// Merges at most `limit` pairs of offset and label, ascending, up to and including `through`. The pairs in `stale`,
/// which is ascending, are omitted.
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
