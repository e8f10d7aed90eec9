//! A worker's place in a shard: everything up to it was offered to the worker's live connections. Pure.
//!
//! The worker moves it with each update that it receives. Between updates it follows what was routed past the worker,
//! since that was for nobody here; it does so when it is read, so that no worker is woken for it.

use std::cell::Cell;
use std::sync::Arc;

use tidings_model::{Address, Tenant};
use tokio::sync::Notify;

use super::interest::Interest;

pub(super) struct Cursor {
    interest: Arc<Interest>,
    worker: usize,
    /// Updates that were received.
    received: Cell<u64>,
    sequence: Cell<u64>,
    advanced: Notify,
}

impl Cursor {
    /// The worker has everything up to `sequence`.
    pub(super) fn new(interest: Arc<Interest>, worker: usize, sequence: u64) -> Self {
        let (received, sequence) = (Cell::new(0), Cell::new(sequence));
        Self { interest, worker, received, sequence, advanced: Notify::new() }
    }

    pub(super) fn get(&self) -> u64 {
        if let Some(routed) = self.interest.routed_to(self.worker, self.received.get()) {
            self.advance_to(routed);
        }
        self.sequence.get()
    }

    /// Part of an update was offered.
    pub(super) fn advance_to(&self, sequence: u64) {
        self.sequence.set(self.sequence.get().max(sequence));
    }

    /// The stream was recreated.
    pub(super) fn restart(&self) {
        self.sequence.set(0);
    }

    /// So many updates were handled to their ends.
    pub(super) fn receive(&self, updates: u64) {
        self.received.set(self.received.get() + updates);
        self.advanced.notify_waiters();
    }

    /// Waits for the next update.
    pub(super) async fn advanced(&self) {
        self.advanced.notified().await;
    }

    /// The worker has a connection at the address.
    pub(super) fn add(&self, tenant: &Tenant, address: &Address) {
        self.interest.add(self.worker, tenant, address);
    }

    /// The worker has no connection at the address any more.
    pub(super) fn remove(&self, tenant: &Tenant, address: &Address) {
        self.interest.remove(self.worker, tenant, address);
    }

    /// From where on the worker is sent what comes to the addresses that it has added. A connection at these addresses is not
    /// live before the cursor is there.
    pub(super) fn live_from(&self) -> u64 {
        self.interest.routed()
    }
}
