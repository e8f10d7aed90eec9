//! Connections that serve HTTP, and have not become WebSockets: how many there may be, and which one is displaced.
//!
//! An address may have so many of them, and all together a bound. At the bound a new connection still finds room unless
//! its own address is among those that hold most: the newest connection of the busiest address is displaced. Where no
//! address holds more than one, the one that has been waiting longest is displaced, as an honest client needs only a
//! moment. So an attacker that opens connections and leaves them unfinished, from however many addresses, displaces its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::client_ip::AddressBlock;

/// How many connections may wait for a request, or be answered.
#[derive(Debug, Clone, Copy)]
pub struct PendingLimits {
    /// Of one address.
    pub per_address: NonZeroUsize,
    /// Of all addresses.
    pub all: NonZeroUsize,
}

/// The connections of a listener that have not become WebSockets.
pub(crate) struct Pending {
    limits: PendingLimits,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    last_id: u64,
    /// Ascending by age.
    connections: BTreeMap<u64, (AddressBlock, CancellationToken)>,
    by_address: HashMap<AddressBlock, BTreeSet<u64>>,
    /// Every address with how many it has.
    busiest: BTreeSet<(usize, AddressBlock)>,
}

impl Pending {
    pub(crate) fn new(limits: PendingLimits) -> Arc<Self> {
        Arc::new(Self { limits, waiting: Mutex::default() })
    }

    /// A connection was accepted; `None` if there is no room for it.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<PendingConnection> {
        let block = AddressBlock::from(address);
        let mut waiting = self.waiting();
        let held = waiting.by_address.get(&block).map_or(0, BTreeSet::len);
        if held >= self.limits.per_address.get() {
            return None;
        }
        if waiting.connections.len() >= self.limits.all.get() {
            waiting.displace(held)?.cancel();
        }
        let (id, displaced) = waiting.add(block);
        Some(PendingConnection { id, displaced, pending: Arc::clone(self) })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Makes room for a connection of an address that holds so many already, if another one is to be displaced.
    fn displace(&mut self, held: usize) -> Option<CancellationToken> {
        let (most, busiest) = *self.busiest.last()?;
        let id = if most > held + 1 {
            *self.by_address.get(&busiest)?.last()?
        } else if held == 0 {
            *self.connections.first_key_value()?.0
        } else {
            return None;
        };
        self.remove(id)
    }

    fn add(&mut self, block: AddressBlock) -> (u64, CancellationToken) {
        self.last_id += 1;
        let displaced = CancellationToken::new();
        self.connections.insert(self.last_id, (block, displaced.clone()));
        let ids = self.by_address.entry(block).or_default();
        self.busiest.remove(&(ids.len(), block));
        ids.insert(self.last_id);
        self.busiest.insert((ids.len(), block));
        (self.last_id, displaced)
    }

    /// `None` if it has been displaced already.
    fn remove(&mut self, id: u64) -> Option<CancellationToken> {
        let (block, displaced) = self.connections.remove(&id)?;
        if let Some(ids) = self.by_address.get_mut(&block) {
            self.busiest.remove(&(ids.len(), block));
            ids.remove(&id);
            if ids.is_empty() {
                self.by_address.remove(&block);
            } else {
                self.busiest.insert((ids.len(), block));
            }
        }
        Some(displaced)
    }
}

/// A connection that counts as long as this is held.
pub(crate) struct PendingConnection {
    id: u64,
    displaced: CancellationToken,
    pending: Arc<Pending>,
}

impl PendingConnection {
    /// Resolves when the connection is displaced.
    pub(crate) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }
}

impl Drop for PendingConnection {
    fn drop(&mut self) {
        self.pending.waiting().remove(self.id);
    }
}

#[cfg(test)]
mod tests;
