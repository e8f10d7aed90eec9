//! How connections call their worker: now, or at a time.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::worker::routing_table::ConnectionId;

/// Connections that have something to do.
#[derive(Default)]
pub(in crate::worker) struct Wakeups {
    pending: RefCell<Vec<ConnectionId>>,
    added: Notify,
}

impl Wakeups {
    pub(super) fn add(&self, id: ConnectionId) {
        self.pending.borrow_mut().push(id);
        self.added.notify_one();
    }

    /// Waits for connections that have something to do.
    pub(in crate::worker) async fn take(&self) -> Vec<ConnectionId> {
        self.added.notified().await;
        self.pending.take()
    }
}

/// When phases end. Apart from the worker's timers, of which a connection has one: that timer may lie behind the deadline
/// of a Close that was not foreseen when it was set.
#[derive(Default)]
pub(in crate::worker) struct Deadlines(RefCell<BinaryHeap<Reverse<(Instant, ConnectionId)>>>);

impl Deadlines {
    pub(super) fn add(&self, at: Instant, id: ConnectionId) {
        self.0.borrow_mut().push(Reverse((at, id)));
    }

    /// A connection whose deadline has passed.
    pub(in crate::worker) fn next_due(&self, now: Instant) -> Option<ConnectionId> {
        let mut deadlines = self.0.borrow_mut();
        let is_due = deadlines.peek().is_some_and(|Reverse((at, _))| *at <= now);
        if is_due { deadlines.pop().map(|Reverse((_, id))| id) } else { None }
    }
}
