//! The durable consumers of those who are connected: loaded when they come, saved while they are
//! here and when they leave.
//!
//! Writes are coalesced: at most one per consumer and second, and one when its last connection
//! ends. What was not saved when the process died was not promised: it is delivered again.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tidings_model::{Position, Tenant};
use tidings_streams::consumers::{
    Change, ConsumerName, ConsumerStore, ConsumerStoreError, Edit, Presence, REFRESH, StoredConsumer,
};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::Principal;
use crate::clock::Clock;

/// How often what has changed is saved.
const INTERVAL: Duration = Duration::from_secs(1);
/// Saves under way at once.
const CONCURRENT: usize = 64;
/// Consumers that share one of these are saved one after the other; many more than saves at once.
const SAVES: usize = 1024;
/// How often it is logged at most that positions cannot be saved.
const COMPLAINT: Duration = Duration::from_secs(10);
/// How long the last saves may take.
const LAST_SAVES: Duration = Duration::from_secs(5);

pub(crate) struct ConsumerCache {
    store: Arc<dyn ConsumerStore>,
    /// The name of this gateway.
    gateway: String,
    clock: Clock,
    online: Mutex<HashMap<ConsumerName, Box<ActiveConsumer>>>,
    /// One is held while a consumer is saved: by its name, so that an idle one needs none of its own.
    saves: Box<[tokio::sync::Mutex<()>]>,
    hasher: RandomState,
    /// Somebody has left.
    urgent: Notify,
    /// How many of those who are about to leave are saved at once.
    turns: Semaphore,
    complained_at: Mutex<Option<Instant>>,
}

/// A consumer of which this gateway holds connections, or has something to save.
struct ActiveConsumer {
    connections: usize,
    stored: StoredConsumer,
    /// Boxed, as most have nothing to save at any moment.
    change: Option<Box<Change>>,
    saved_at: Instant,
    /// The user was purged while connected; these connections leave no trace.
    purged: bool,
}

/// A change that is kept to be saved later, unless it was saved.
struct Unsaved<'p> {
    consumers: &'p ConsumerCache,
    name: &'p ConsumerName,
    change: Box<Change>,
    is_saved: bool,
}

impl Drop for Unsaved<'_> {
    fn drop(&mut self) {
        if !self.is_saved {
            self.consumers.keep(self.name, (*self.change).clone());
        }
    }
}

/// What became of a save.
#[derive(PartialEq, Eq)]
enum Saved {
    Well,
    /// The user was purged meanwhile.
    InVain,
}

impl ConsumerCache {
    pub(crate) fn new(store: Arc<dyn ConsumerStore>, gateway: String, clock: Clock) -> Self {
        Self {
            store,
            gateway,
            clock,
            online: Mutex::default(),
            saves: (0..SAVES).map(|_| tokio::sync::Mutex::default()).collect(),
            hasher: RandomState::new(),
            urgent: Notify::new(),
            turns: Semaphore::new(CONCURRENT),
            complained_at: Mutex::default(),
        }
    }

    /// The store, for those who look after consumers.
    pub(crate) fn store(&self) -> &dyn ConsumerStore {
        &*self.store
    }

    /// Loads a consumer, or creates it at the position that `first` gives.
    ///
    /// A new consumer is stored before anything is delivered to it: otherwise what comes after a
    /// crash in its first second would be lost on it.
    pub(crate) async fn arrive(
        &self,
        principal: &Principal,
        first: impl FnOnce() -> Position,
    ) -> Result<StoredConsumer, ConsumerStoreError> {
        let name = &principal.consumer;
        // What another connection of the device has acknowledged here counts, be it gone or not.
        self.save(name).await?;
        let stored = if let Some(mut stored) = self.store.load(name).await? {
            if stored.state.keys == principal.grants {
                // One piece of memory for both.
                stored.state.keys.clone_from(&principal.grants);
            }
            stored
        } else {
            let mut change = self.change(first());
            change.keys.clone_from(&principal.grants);
            self.store.save(name, None, &change).await?
        };
        let mut online = self.online();
        let entry = online.entry(name.clone()).or_insert_with(|| {
            Box::new(ActiveConsumer {
                connections: 0,
                stored: stored.clone(),
                change: None,
                saved_at: Instant::now(),
                purged: false,
            })
        });
        entry.connections += 1;
        entry.purged = false;
        let mut change = self.change(stored.state.position);
        change.resets = stored.state.resets;
        change.keys.clone_from(&principal.grants);
        entry.note(change);
        Ok(stored)
    }

    /// Makes sure that positions can be kept. If the store had lost them, those who are here are saved again.
    pub(crate) async fn check(&self) -> Result<(), ConsumerStoreError> {
        if self.store.check().await? {
            for entry in self.online().values_mut().filter(|entry| entry.connections > 0) {
                let mut change = self.change(entry.stored.state.position);
                change.resets = entry.stored.state.resets;
                entry.note(change);
            }
            self.urgent.notify_one();
        }
        Ok(())
    }

    /// The stream came back with less than it had. Everybody who is here goes on from its beginning.
    pub(crate) async fn rewind(&self) {
        let names: Vec<_> = self.online().keys().cloned().collect();
        let rewinding =
            futures_util::stream::iter(names).map(async |name| self.rewind_to(&name, 0).await.err());
        let failed: Vec<_> =
            rewinding.buffer_unordered(CONCURRENT).filter_map(std::future::ready).collect().await;
        self.complain(&failed);
    }

    /// Moves a consumer that stands behind the stream's end back to where it is.
    pub(crate) async fn rewind_to(
        &self,
        name: &ConsumerName,
        sequence: u64,
    ) -> Result<(), ConsumerStoreError> {
        let _turn = self.save_of(name).lock().await;
        let Some(known) = self.online().get(name).map(|entry| entry.stored.state.position) else {
            return Ok(());
        };
        let Some(stored) = self.store.reset(name, Position { sequence, ..known }).await? else {
            return Ok(());
        };
        if let Some(entry) = self.online().get_mut(name) {
            if let Some(change) = &mut entry.change {
                (change.position, change.resets) = (stored.state.position, stored.state.resets);
            }
            entry.stored = stored;
        }
        Ok(())
    }

    /// Everything up to here has been received.
    pub(crate) fn acknowledge(&self, name: &ConsumerName, position: Position) {
        self.note(name, Some(position), None);
    }

    /// A topic was asked for, or given up.
    pub(crate) fn remember(
        &self,
        name: &ConsumerName,
        position: Option<Position>,
        topic: String,
        edit: Edit,
    ) {
        self.note(name, position, Some((topic, edit)));
    }

    /// A connection ended, having received everything up to here, or nothing that is known.
    pub(crate) fn leave(&self, name: &ConsumerName, position: Option<Position>) {
        let mut online = self.online();
        if let Some(entry) = online.get_mut(name) {
            entry.connections = entry.connections.saturating_sub(1);
            let mut change = self.change(position.unwrap_or(entry.stored.state.position));
            change.resets = entry.stored.state.resets;
            if entry.connections == 0 {
                change.presence = Presence::Left(self.gateway.clone());
                self.urgent.notify_one();
            }
            entry.note(change);
            if entry.purged && entry.connections == 0 {
                online.remove(name);
            }
        }
    }

    /// The user is no more: nothing of what is known here is saved.
    pub(crate) fn purge(&self, tenant: &Tenant, user: &str) {
        let mut online = self.online();
        for (_, entry) in online.iter_mut().filter(|(name, _)| name.tenant() == tenant && name.user() == user)
        {
            entry.purged = true;
            entry.change = None;
        }
        online.retain(|_, entry| entry.connections > 0 || !entry.purged);
    }

    /// Saves what changes until cancelled, and then the rest.
    pub(crate) async fn run(&self, cancelled: CancellationToken) {
        while !cancelled.is_cancelled() {
            let due = async {
                tokio::select! {
                    () = tokio::time::sleep(INTERVAL) => {}
                    () = self.urgent.notified() => {}
                }
            };
            cancelled.run_until_cancelled(due).await;
            self.save_due(false).await;
        }
        if tokio::time::timeout(LAST_SAVES, self.save_due(true)).await.is_err() {
            tracing::warn!(
                "some positions could not be saved in time; what they cover will be delivered again"
            );
        }
    }

    async fn save_due(&self, all: bool) {
        let now = Instant::now();
        let due: Vec<ConsumerName> = {
            let mut online = self.online();
            for entry in online.values_mut().filter(|entry| entry.connections > 0) {
                if entry.change.is_none() && !entry.purged && entry.saved_at + REFRESH <= now {
                    let mut change = self.change(entry.stored.state.position);
                    change.resets = entry.stored.state.resets;
                    entry.change = Some(Box::new(change));
                }
            }
            let is_due = |entry: &ActiveConsumer| {
                entry.change.is_some() && (all || entry.connections == 0 || entry.saved_at + INTERVAL <= now)
            };
            online.iter().filter(|(_, entry)| is_due(entry)).map(|(name, _)| name.clone()).collect()
        };
        let saves = futures_util::stream::iter(due).map(async |name| self.save(&name).await.err());
        let failed: Vec<_> =
            saves.buffer_unordered(CONCURRENT).filter_map(std::future::ready).collect().await;
        self.complain(&failed);
    }

    /// One line for all that could not be saved, and not more often than once in a while.
    fn complain(&self, failed: &[ConsumerStoreError]) {
        let mut complained_at = self.complained_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = failed.last() else { return };
        if complained_at.is_none_or(|at| at.elapsed() >= COMPLAINT) {
            *complained_at = Some(Instant::now());
            let (error, consumers) = (error as &dyn std::error::Error, failed.len());
            tracing::warn!(error, consumers, "positions could not be saved and are saved later");
        }
    }

    /// Saves what is known of a consumer whose connection is about to be moved elsewhere, where it is loaded.
    /// Many may want this at the same time; only so many are saved at once.
    pub(crate) async fn save_in_turn(&self, name: &ConsumerName) -> Result<(), ConsumerStoreError> {
        let _turn = self.turns.acquire().await;
        self.save(name).await
    }

    /// Saves what has changed about one consumer, after any save of it that is under way. What
    /// fails stays to be saved.
    async fn save(&self, name: &ConsumerName) -> Result<(), ConsumerStoreError> {
        let _turn = self.save_of(name).lock().await;
        let taken = {
            let mut online = self.online();
            online.get_mut(name).and_then(|entry| Some((entry.change.take()?, entry.stored.clone())))
        };
        let Some((change, known)) = taken else { return Ok(()) };
        // Whoever waits for this may go away at any moment.
        let mut unsaved = Unsaved { consumers: self, name, change, is_saved: false };
        match self.store.save(name, Some(&known), &unsaved.change).await {
            Ok(stored) => {
                unsaved.is_saved = true;
                if self.saved(name, stored) == Saved::InVain {
                    // It was, or is about to be, removed; this save came behind.
                    self.store.remove(name).await?;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn saved(&self, name: &ConsumerName, stored: StoredConsumer) -> Saved {
        let mut online = self.online();
        let Some(entry) = online.get_mut(name) else { return Saved::InVain };
        // The connections here know of no reset that came after them.
        let resets = entry.stored.state.resets;
        entry.stored = stored;
        entry.stored.state.resets = resets;
        entry.saved_at = Instant::now();
        if entry.purged {
            return Saved::InVain;
        }
        if entry.connections == 0 && entry.change.is_none() {
            online.remove(name);
        }
        Saved::Well
    }

    /// Keeps what could not be saved.
    fn keep(&self, name: &ConsumerName, change: Change) {
        if let Some(entry) = self.online().get_mut(name) {
            let later = entry.change.take();
            entry.note(change);
            if let Some(later) = later {
                entry.note(*later);
            }
        }
    }

    fn note(&self, name: &ConsumerName, position: Option<Position>, edit: Option<(String, Edit)>) {
        let mut online = self.online();
        if let Some(entry) = online.get_mut(name) {
            let mut change = self.change(position.unwrap_or(entry.stored.state.position));
            change.resets = entry.stored.state.resets;
            change.subscriptions = edit.into_iter().collect::<BTreeMap<_, _>>();
            entry.note(change);
        }
    }

    fn change(&self, position: Position) -> Change {
        let presence = Presence::Connected(self.gateway.clone());
        Change::new(position, presence, self.clock.unix_seconds())
    }

    fn save_of(&self, name: &ConsumerName) -> &tokio::sync::Mutex<()> {
        let index = usize::try_from(self.hasher.hash_one(name) % SAVES as u64).unwrap_or_default();
        &self.saves[index]
    }

    fn online(&self) -> MutexGuard<'_, HashMap<ConsumerName, Box<ActiveConsumer>>> {
        self.online.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActiveConsumer {
    /// Adds a later change to what has to be saved.
    fn note(&mut self, later: Change) {
        if self.purged {
            return;
        }
        let Some(earlier) = self.change.take() else {
            self.change = Some(Box::new(later));
            return;
        };
        let earlier = *earlier;
        let mut subscriptions = earlier.subscriptions;
        subscriptions.extend(later.subscriptions);
        let same_epoch = earlier.position.epoch == later.position.epoch;
        let is_further = same_epoch && earlier.position.sequence > later.position.sequence;
        // What was acknowledged in ignorance of a reset does not undo it.
        let (position, resets) =
            if earlier.resets > later.resets || (earlier.resets == later.resets && is_further) {
                (earlier.position, earlier.resets)
            } else {
                (later.position, later.resets)
            };
        let keys = if later.keys.is_empty() { earlier.keys } else { later.keys };
        self.change = Some(Box::new(Change { position, resets, subscriptions, keys, ..later }));
    }
}
