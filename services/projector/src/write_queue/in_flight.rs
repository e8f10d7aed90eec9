//! Publications whose acknowledgements are awaited, in the order of sending.
//!
//! NATS answers in that order, too, so only the first is awaited: no waker or timer is needed for each of thousands.

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

    /// The result of the first publication; pending for ever if there is none. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<u64, WriteError> {
        let Some(first) = self.0.front_mut() else { return future::pending().await };
        let stored = first.await;
        self.0.pop_front();
        stored
    }

    /// The result of the first publication, if it is known by now.
    pub(crate) fn next_known(&mut self) -> Option<Result<u64, WriteError>> {
        self.next().now_or_never()
    }

    /// The sequences of the remaining publications that were stored although one before them was refused.
    pub(crate) async fn strays(&mut self) -> Vec<u64> {
        join_all(self.0.drain(..)).await.into_iter().flatten().collect()
    }

    /// Drops all of them.
    pub(crate) fn abandon(&mut self) {
        for pending in self.0.drain(..) {
            // The client library releases the permit of a publication that was never polled only when the answer
            // arrives, or half a minute later.
            pending.now_or_never();
        }
    }
}
