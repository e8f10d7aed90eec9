//! Which workers have connections at an address: an envelope wakes those, and no other.
//!
//! Each shard has one index, shared by the read of its stream and by all workers. Two invariants, both kept by one lock:
//!
//! - A worker that has added an address, and reads [`Interest::routed`] afterwards, is sent every envelope of the address
//!   behind that sequence. What lies before it was routed without regard to the worker; a connection reads that from the
//!   replica, and is not live before its worker has come so far.
//! - A worker that has received all updates that were sent to it has everything up to `routed`, whether it was woken for
//!   that or not: so a worker learns how far its shard is when it asks, and no message has to tell it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidings_model::{Address, Tenant};

use super::worker_set::WorkerSet;
use tidings_replica::FramedEnvelope;

/// The next envelopes of a shard.
pub(super) type Envelopes = Arc<[Arc<FramedEnvelope>]>;

/// The addresses of a shard at which workers have connections.
pub(crate) struct Interest {
    addresses: Mutex<HashMap<Tenant, HashMap<Address, WorkerSet>>>,
    /// How many updates each worker was sent.
    sent: Box<[AtomicU64]>,
    /// Everything up to here was sent to the workers that it is for.
    routed: AtomicU64,
}

/// An update that a worker is about to be sent. It counts as sent from the moment on in which the envelopes behind it may
/// be, so it does not count any more if the sending is given up.
pub(super) struct Owed<'i> {
    interest: &'i Interest,
    worker: usize,
    is_sent: bool,
}

impl Owed<'_> {
    pub(super) fn worker(&self) -> usize {
        self.worker
    }

    /// The worker has the update in its queue.
    pub(super) fn sent(mut self) {
        self.is_sent = true;
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if !self.is_sent {
            self.interest.sent[self.worker].fetch_sub(1, Ordering::Release);
        }
    }
}

impl Interest {
    /// Of so many workers, which have everything up to `routed`.
    pub(super) fn new(workers: usize, routed: u64) -> Self {
        Self {
            addresses: Mutex::default(),
            sent: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            routed: AtomicU64::new(routed),
        }
    }

    /// A worker has a connection at an address.
    pub(super) fn add(&self, worker: usize, tenant: &Tenant, address: &Address) {
        let mut tenants = self.lock();
        if !tenants.contains_key(tenant) {
            tenants.insert(tenant.clone(), HashMap::new());
        }
        let Some(addresses) = tenants.get_mut(tenant) else { return };
        match addresses.entry(address.clone()) {
            Entry::Occupied(mut workers) => workers.get_mut().insert(worker),
            Entry::Vacant(entry) => _ = entry.insert(WorkerSet::of(worker)),
        }
    }

    /// A worker has no connection at an address any more.
    pub(super) fn remove(&self, worker: usize, tenant: &Tenant, address: &Address) {
        let mut tenants = self.lock();
        let Some(addresses) = tenants.get_mut(tenant) else { return };
        let Some(workers) = addresses.get_mut(address) else { return };
        workers.remove(worker);
        if workers.is_empty() {
            addresses.remove(address);
        }
    }

    /// The workers that have to be sent something of these envelopes, with what is for them.
    pub(super) fn route(&self, envelopes: &Envelopes) -> Vec<(Owed<'_>, Envelopes)> {
        let tenants = self.lock();
        let mut shares: Vec<Vec<usize>> = vec![Vec::new(); self.sent.len()];
        let mut first = 0;
        for alike in envelopes.chunk_by(|one, other| have_one_address(one, other)) {
            let range = first..first + alike.len();
            first = range.end;
            let Some(subject) = alike.first().map(|framed| &framed.envelope().subject) else { continue };
            let workers = tenants.get(&subject.tenant).and_then(|tenant| tenant.get(&subject.address));
            for worker in workers.into_iter().flat_map(WorkerSet::iter) {
                shares[worker].extend(range.clone());
            }
        }
        let shares: Vec<_> = (0..).zip(shares).filter(|(_, share)| !share.is_empty()).collect();
        let owed = shares.iter().map(|(worker, _)| self.owe(*worker)).collect::<Vec<_>>();
        if let Some(last) = envelopes.last() {
            // Behind the counts: who sees this sees those.
            self.routed.store(last.sequence(), Ordering::Release);
        }
        drop(tenants);
        owed.into_iter().zip(shares).map(|(owed, (_, share))| (owed, part(envelopes, &share))).collect()
    }

    /// An update for every worker, after which everything is routed up to what `routed` says.
    pub(super) fn announce(&self, routed: impl FnOnce(u64) -> u64) -> Vec<Owed<'_>> {
        let _tenants = self.lock();
        let owed = (0..self.sent.len()).map(|worker| self.owe(worker)).collect();
        self.routed.store(routed(self.routed.load(Ordering::Acquire)), Ordering::Release);
        owed
    }

    /// Everything up to here was sent to the workers that it is for.
    pub(super) fn routed(&self) -> u64 {
        self.routed.load(Ordering::Acquire)
    }

    /// The same if the worker, which has received so many updates, has received all that were sent to it.
    pub(super) fn routed_to(&self, worker: usize, received: u64) -> Option<u64> {
        // In this order: an update that is behind `routed` is then not missed in the count.
        let routed = self.routed();
        let sent = self.sent.get(worker)?.load(Ordering::Acquire);
        (sent == received).then_some(routed)
    }

    fn owe(&self, worker: usize) -> Owed<'_> {
        self.sent[worker].fetch_add(1, Ordering::Release);
        Owed { interest: self, worker, is_sent: false }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Tenant, HashMap<Address, WorkerSet>>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn have_one_address(one: &FramedEnvelope, other: &FramedEnvelope) -> bool {
    let (one, other) = (&one.envelope().subject, &other.envelope().subject);
    one.address == other.address && one.tenant == other.tenant
}

/// These of the envelopes; all of them without a copy, as where everything is for everybody.
fn part(envelopes: &Envelopes, share: &[usize]) -> Envelopes {
    if share.len() == envelopes.len() {
        return Arc::clone(envelopes);
    }
    share.iter().filter_map(|index| envelopes.get(*index).cloned()).collect()
}

#[cfg(test)]
mod tests;
