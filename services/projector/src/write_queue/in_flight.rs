//! Publications whose answers are awaited, in the order in which they were sent.
//!
//! NATS answers in that order, too, so only the first is ever waited for: nothing has to be woken, or given a timer,
//! for each of thousands.

use std::collections::VecDeque;
use std::future;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tidings_streams::{Pending, WriteError};

#[derive(Default)]
pub(crate) struct InFlight(VecDeque<Pending>);

impl InFlight {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, pending: Pending) {
        self.0.push_back(pending);
    }

    /// What became of the first; waits for ever if there is none. May be dropped while it waits without losing
    /// anything.
    pub(crate) async fn next(&mut self) -> Result<u64, WriteError> {
        let Some(first) = self.0.front_mut() else { return future::pending().await };
        let stored = first.await;
        self.0.pop_front();
        stored
    }

    /// What became of the first, if that is known by now.
    pub(crate) fn next_known(&mut self) -> Option<Result<u64, WriteError>> {
        self.next().now_or_never()
    }

    /// Where those were stored that are left, though one before them was refused.
    pub(crate) async fn strays(&mut self) -> Vec<u64> {
        join_all(self.0.drain(..)).await.into_iter().flatten().collect()
    }

    /// Awaits none of them any more.
    pub(crate) fn abandon(&mut self) {
        for pending in self.0.drain(..) {
            // The client library takes back the permit of a publication that nobody ever asked for only when the
            // answer comes, or half a minute later.
            pending.now_or_never();
        }
    }
}
