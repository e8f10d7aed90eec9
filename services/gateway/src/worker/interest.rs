//! Which workers have connections at an address, so that an envelope wakes those and no other; and each worker's place in
//! what was routed.
//!
//! Each shard has one index, shared by the read of its stream and by all workers. Two invariants, both kept by one lock:
//!
//! - A worker that has added an address, and reads [`Interest::routed`] afterwards, is sent every envelope of the address
//!   behind that sequence. What lies before it was routed without regard to the worker; a connection reads that from the
//!   replica, and is not live before its worker has come so far.
//! - A worker that has received all updates that were for it has everything up to `routed`, whether it was woken for that
//!   or not: so a worker learns how far its shard is when it asks, and no message has to tell it. An update counts from the
//!   moment on in which the envelopes behind it may be routed, and also if it never arrives: a worker that takes nothing more
//!   and still closes its connections must not believe that these have what it was not sent.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidings_model::{Address, Epoch, Tenant};
use tidings_replica::FramedEnvelope;
use tokio::sync::Notify;

/// What is new in a shard, in order. Every worker receives all of it, but of the envelopes only those at addresses at which
/// it has connections.
#[derive(Debug, Clone)]
pub(crate) enum ShardUpdate {
    /// The next envelopes of the stream.
    Envelopes(Envelopes),
    /// The tenant's envelopes are of this generation from here on.
    Began {
        tenant: Tenant,
        generation: u32,
        /// The sequence of the notice.
        since: u64,
    },
    /// The tenant's envelopes are in another shard, in this generation.
    Left { tenant: Tenant, generation: u32 },
    /// The stream was recreated; sequences begin at 1 again.
    Restarted(Epoch),
}

type Envelopes = Arc<[Arc<FramedEnvelope>]>;

/// The addresses of a shard at which workers have connections.
pub(super) struct Interest {
    addresses: Mutex<HashMap<Tenant, HashMap<Address, WorkerSet>>>,
    /// How many updates there were for each worker.
    updates: Box<[AtomicU64]>,
    /// Everything up to here was sent to the workers that it is for.
    routed: AtomicU64,
}

impl Interest {
    /// Of so many workers, which have everything up to `routed`.
    pub(super) fn new(workers: usize, routed: u64) -> Self {
        Self {
            addresses: Mutex::default(),
            updates: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            routed: AtomicU64::new(routed),
        }
    }

    /// A worker has a connection at an address.
    fn add(&self, worker: usize, tenant: &Tenant, address: &Address) {
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
    fn remove(&self, worker: usize, tenant: &Tenant, address: &Address) {
        let mut tenants = self.lock();
        let Some(addresses) = tenants.get_mut(tenant) else { return };
        let Some(workers) = addresses.get_mut(address) else { return };
        workers.remove(worker);
        if workers.is_empty() {
            addresses.remove(address);
        }
    }

    /// Sends the workers an update: of envelopes, each that has connections where they go what is for it; everything else to
    /// all. `send` gives a worker, by its number, what it is sent.
    pub(super) async fn send<S: Future>(&self, update: &ShardUpdate, send: impl Fn(usize, ShardUpdate) -> S) {
        for (worker, update) in self.owe(update) {
            send(worker, update).await;
        }
    }

    /// What each worker has to be sent of an update: of envelopes those that are for it, of everything else the whole.
    fn owe(&self, update: &ShardUpdate) -> Vec<(usize, ShardUpdate)> {
        let owed = match update {
            ShardUpdate::Envelopes(envelopes) => {
                let shares = self.route(envelopes).into_iter();
                return shares.map(|(worker, share)| (worker, ShardUpdate::Envelopes(share))).collect();
            }
            ShardUpdate::Began { since, .. } => self.announce(|routed| routed.max(*since)),
            ShardUpdate::Left { .. } => self.announce(|routed| routed),
            ShardUpdate::Restarted(_) => self.announce(|_| 0),
        };
        owed.map(|worker| (worker, update.clone())).collect()
    }

    /// The workers that have to be sent something of these envelopes, with what is for them.
    fn route(&self, envelopes: &Envelopes) -> Vec<(usize, Envelopes)> {
        let tenants = self.lock();
        let mut shares: Vec<Vec<usize>> = vec![Vec::new(); self.updates.len()];
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
        for (worker, _) in &shares {
            self.count(*worker);
        }
        if let Some(last) = envelopes.last() {
            // Behind the counts: who sees this sees those.
            self.routed.store(last.sequence(), Ordering::Release);
        }
        drop(tenants);
        shares.into_iter().map(|(worker, share)| (worker, part(envelopes, &share))).collect()
    }

    /// An update for every worker, after which everything is routed up to what `routed` says.
    fn announce(&self, routed: impl FnOnce(u64) -> u64) -> Range<usize> {
        let _tenants = self.lock();
        let workers = 0..self.updates.len();
        for worker in workers.clone() {
            self.count(worker);
        }
        self.routed.store(routed(self.routed.load(Ordering::Acquire)), Ordering::Release);
        workers
    }

    /// Everything up to here was sent to the workers that it is for.
    fn routed(&self) -> u64 {
        self.routed.load(Ordering::Acquire)
    }

    /// The same if the worker, which has received so many updates, has received all that were sent to it.
    fn routed_to(&self, worker: usize, received: u64) -> Option<u64> {
        // In this order: an update that is behind `routed` is then not missed in the count.
        let routed = self.routed();
        let updates = self.updates.get(worker)?.load(Ordering::Acquire);
        (updates == received).then_some(routed)
    }

    /// There is an update for the worker.
    fn count(&self, worker: usize) {
        self.updates[worker].fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Tenant, HashMap<Address, WorkerSet>>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's place in a shard: everything up to it was offered to the worker's live connections.
///
/// The worker moves it with each update that it receives. Between updates it follows what was routed past the worker,
/// since that was for nobody here; it does so when it is read, so that no worker is woken for it.
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

/// Bits of one word.
const BITS: usize = u64::BITS as usize;

/// A set of workers, by their numbers. There is one for each address at which somebody is connected. Most addresses are one
/// user's, whose connections are at one worker: so one worker takes no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum WorkerSet {
    One(u32),
    /// A bit for each worker.
    Bits(Box<[u64]>),
}

const _: () = assert!(size_of::<WorkerSet>() <= 16, "every address of a connected user has one");

impl WorkerSet {
    /// The set of this worker alone.
    fn of(worker: usize) -> Self {
        match u32::try_from(worker) {
            Ok(worker) => Self::One(worker),
            Err(_) => Self::bits([worker].into_iter()),
        }
    }

    fn insert(&mut self, worker: usize) {
        match self {
            Self::One(one) if *one as usize == worker => {}
            Self::Bits(words) if worker / BITS < words.len() => words[worker / BITS] |= 1 << (worker % BITS),
            _ => *self = Self::bits(self.iter().chain([worker])),
        }
    }

    fn remove(&mut self, worker: usize) {
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

    fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Ascending.
    fn iter(&self) -> impl Iterator<Item = usize> {
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
mod tests;
