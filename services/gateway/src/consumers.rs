//! A write-behind cache of the durable consumers of connected devices.
//!
//! A consumer is loaded when its first connection arrives, and saved while it is connected and when it leaves. Writes are
//! coalesced: at most one per consumer and second, and one when its last connection ends. What was not saved when the
//! process died was not promised: it is delivered again.
//!
//! Clients that name no device share one, and have places of their own in it (`places`), as far as they are connected to this
//! gateway.
//!
//! What JetStream refuses for good is not tried again. Of a record that is too large the subscriptions are left out, so
//! that the position continues to be saved.

mod active;
mod heard;
mod places;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tidings_metrics::{Registry, Tally, Timing};
use tidings_model::{Epoch, Place, PlacedPosition, Position, Tenant};
use tidings_session::Principal;
use tidings_streams::connections::ask_to_save;
use tidings_streams::consumers::{
    Change, ConsumerName, ConsumerState, ConsumerStore, ConsumerStoreError, Edit, Presence, REFRESH,
    StoredConsumer, Subscriptions,
};
use tidings_streams::{RepeatedFault, Topology};
use tokio::sync::{Notify, Semaphore};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::active::{PendingChange, Stripes};
pub(crate) use self::places::PlaceId;
use crate::clock::Clock;
use crate::figures::{AGE, SAVED};

/// How often what has changed is saved.
const INTERVAL: Duration = Duration::from_secs(1);
/// Saves at the same time.
const CONCURRENT: usize = 64;
/// Consumers that share one of these are saved one after the other; many more than saves at the same time.
const SAVES: usize = 1024;
/// How long it may take to store that a device is here, before it is served all the same.
const TAKING_OVER: Duration = Duration::from_secs(1);
/// How long the last saves may take.
const LAST_SAVES: Duration = Duration::from_secs(5);

/// The durable consumers of connected devices.
pub(crate) struct ConsumerCache {
    store: Arc<dyn ConsumerStore>,
    /// The name of this gateway.
    gateway: String,
    /// To ask other gateways.
    topology: Topology,
    clock: Clock,
    active: Stripes,
    /// One is held while a consumer is saved: by its name, so that an idle one needs none of its own.
    saves: Box<[tokio::sync::Mutex<()>]>,
    /// The last connection of a consumer has ended.
    left: Notify,
    /// Bounds how many leaving consumers are saved at the same time.
    turns: Semaphore,
    failed_saves: RepeatedFault,
    results: Arc<Tally>,
    save_age: Arc<Timing>,
}

/// A change that is put back to be saved later, unless it was saved.
struct Unsaved<'p> {
    consumers: &'p ConsumerCache,
    name: &'p ConsumerName,
    change: Box<PendingChange>,
    is_saved: bool,
}

impl Drop for Unsaved<'_> {
    fn drop(&mut self) {
        if !self.is_saved {
            self.consumers.active.put_back(self.name, (*self.change).clone());
        }
    }
}

impl ConsumerCache {
    pub(crate) fn new(
        store: Arc<dyn ConsumerStore>,
        (gateway, topology): (String, Topology),
        clock: Clock,
        registry: &Registry,
    ) -> Self {
        Self {
            store,
            gateway,
            topology,
            clock,
            active: Stripes::default(),
            saves: (0..SAVES).map(|_| tokio::sync::Mutex::default()).collect(),
            left: Notify::new(),
            turns: Semaphore::new(CONCURRENT),
            failed_saves: RepeatedFault::default(),
            results: Tally::register(registry, &SAVED, ["saved", "failed", "refused"]),
            save_age: Timing::register(registry, &AGE),
        }
    }

    /// The store itself, for administration.
    pub(crate) fn store(&self) -> &dyn ConsumerStore {
        &*self.store
    }

    /// Loads a consumer for another connection, or creates it at the position that `first` gives. A connection that shares
    /// its device with others, since it names none, has a place. `initial` says what changes about the subscriptions, by those
    /// that are stored and the position.
    ///
    /// A new consumer is stored before anything is delivered to it: otherwise what comes after a
    /// crash in its first second would be lost on it.
    pub(crate) async fn arrive(
        &self,
        principal: &Principal,
        shares: bool,
        first: impl FnOnce() -> PlacedPosition,
        initial: impl Fn(Option<&Subscriptions>, u64) -> BTreeMap<String, Edit>,
    ) -> Result<(StoredConsumer, Option<PlaceId>), ConsumerStoreError> {
        let name = &principal.consumer;
        // Of clients to which little comes, it is not noted as they move on.
        let shared = self
            .active
            .position(name)
            .and_then(|stored| self.active.with_places(name, |places| places.position(stored)).flatten());
        if shared.is_some() {
            self.note(name, shared, None);
        }
        // What another connection of the device has acknowledged here counts, be it open or not.
        if let Err(error) = self.save(name).await
            && !error.is_permanent()
        {
            return Err(error);
        }
        let mut stored = if let Some(mut stored) = self.load(name).await? {
            if stored.state.grants == principal.grants {
                // One piece of memory for both.
                stored.state.grants.clone_from(&principal.grants);
            }
            stored
        } else {
            let mut change = self.change(first());
            change.subscriptions = initial(None, change.position.position.sequence);
            change.grants.clone_from(&principal.grants);
            self.store.save(name, None, &change).await?
        };
        let mut change = self.change_of(&stored, None);
        change.grants.clone_from(&principal.grants);
        change.subscriptions = initial(Some(&stored.state.subscriptions), stored.state.position.sequence);
        let changed = (!change.subscriptions.is_empty()).then(|| change.apply(Some(&stored.state)));
        let subscriptions = changed.map(|changed| changed.subscriptions);
        let topics =
            || subscriptions.as_ref().unwrap_or(&stored.state.subscriptions).keys().cloned().collect();
        let place = self.active.arrive(name, &stored, change, shares.then(topics));
        if let Some(subscriptions) = subscriptions {
            stored.state.subscriptions = subscriptions;
        }
        Ok((stored, place))
    }

    /// The state of a consumer that is here for the first time, and of which nothing is kept.
    pub(crate) fn visit(
        &self,
        first: impl FnOnce() -> PlacedPosition,
        initial: impl Fn(Option<&Subscriptions>, u64) -> BTreeMap<String, Edit>,
    ) -> ConsumerState {
        let mut change = self.change(first());
        // It says itself where it begins, on topics as well.
        change.subscriptions = initial(None, 0);
        // Nothing takes it over.
        ConsumerState { connected: None, ..change.apply(None) }
    }

    /// Loads a consumer with everything that any gateway has heard from it: one that has it connected, or had a moment ago,
    /// saves that first.
    async fn load(&self, name: &ConsumerName) -> Result<Option<StoredConsumer>, ConsumerStoreError> {
        let stored = self.store.load(name).await?;
        let Some(former) = stored.as_ref().and_then(|stored| self.other_gateway(stored)) else {
            return Ok(stored);
        };
        if ask_to_save(&self.topology.client(), former, name).await {
            self.store.load(name).await
        } else {
            Ok(stored)
        }
    }

    /// The other gateway to which the device is connected, as it is stored.
    fn other_gateway<'s>(&self, stored: &'s StoredConsumer) -> Option<&'s str> {
        let is_connected = stored.state.is_connected(self.clock.unix_seconds());
        let gateway = stored.state.connected.as_deref().filter(|gateway| *gateway != self.gateway);
        gateway.filter(|_| is_connected)
    }

    /// Has it stored that this gateway has the device, unless it is: from then on, a gateway to which the device goes next
    /// asks this one. A store that does not answer holds up nobody.
    pub(crate) async fn take_over(&self, name: &ConsumerName, stored: Option<&str>) {
        if stored == Some(&self.gateway) {
            return;
        }
        if let Ok(Err(error)) = tokio::time::timeout(TAKING_OVER, self.save_in_turn(name)).await {
            self.log_failed(&[error]);
        }
    }

    /// Makes sure that consumers can be kept. If the store had lost them, those that are connected are saved again.
    pub(crate) async fn check(&self) -> Result<(), ConsumerStoreError> {
        if self.store.check().await? {
            tracing::warn!(
                "the bucket of consumers was recreated; what is known of connected devices is saved again"
            );
            self.active.note_lost(|stored| self.change_of(stored, None));
            self.left.notify_one();
        }
        Ok(())
    }

    /// This stream was restored from an older state. Every connected consumer whose position is in it continues at its
    /// beginning.
    pub(crate) async fn rewind(&self, stream: Epoch) {
        let is_there = |known: PlacedPosition| {
            Place::generation_of(known.position.epoch, stream, Place::MOST_GENERATIONS).is_some()
        };
        let names = futures_util::stream::iter(self.active.names());
        let rewinding = names.map(async |name| {
            let known = self.active.position(&name).filter(|known| is_there(*known))?;
            let beginning = Position { sequence: 0, ..known.position };
            self.rewind_to(&name, PlacedPosition { position: beginning, ..known }).await.err()
        });
        let failed: Vec<_> =
            rewinding.buffer_unordered(CONCURRENT).filter_map(std::future::ready).collect().await;
        self.log_failed(&failed);
    }

    /// Moves a consumer whose position is of a state that NATS has lost back to what there is.
    pub(crate) async fn rewind_to(
        &self,
        name: &ConsumerName,
        position: PlacedPosition,
    ) -> Result<(), ConsumerStoreError> {
        let _turn = self.save_of(name).lock().await;
        if self.active.position(name).is_some()
            && let Some(stored) = self.store.reset(name, position).await?
        {
            self.active.reset(name, stored);
        }
        Ok(())
    }

    /// The user was purged: nothing that is known here is saved.
    pub(crate) fn purge(&self, tenant: &Tenant, user: &str) {
        self.active.purge(|name| name.tenant() == tenant && name.user() == user);
    }

    /// Saves what changes until cancelled, and then the rest.
    pub(crate) async fn run(&self, cancelled: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round = 0;
        while !cancelled.is_cancelled() {
            let due = async {
                tokio::select! {
                    _ = ticks.tick() => true,
                    () = self.left.notified() => false,
                }
            };
            if cancelled.run_until_cancelled(due).await == Some(true) {
                round += 1;
                // So that the records of consumers that were not saved for long do not count as gone.
                self.active.note_idle(round, REFRESH, |stored| self.change_of(stored, None));
                self.save_all(self.active.take(Some(INTERVAL))).await;
            }
            self.save_all(self.active.take(None)).await;
        }
        let take = |interval| self.active.take(interval);
        let last = async { self.save_all([take(None), take(Some(Duration::ZERO))].concat()).await };
        if tokio::time::timeout(LAST_SAVES, last).await.is_err() {
            tracing::warn!(
                "some positions could not be saved in time; what they cover will be delivered again"
            );
        }
    }

    async fn save_all(&self, names: Vec<ConsumerName>) {
        let saves = futures_util::stream::iter(names).map(async |name| self.save(&name).await.err());
        let failed: Vec<_> =
            saves.buffer_unordered(CONCURRENT).filter_map(std::future::ready).collect().await;
        self.log_failed(&failed);
    }

    /// Logs one line for all that could not be saved, and not more often than once in a while.
    fn log_failed(&self, failed: &[ConsumerStoreError]) {
        let Some(error) = failed.last() else { return };
        if let Some(attempts) = self.failed_saves.count(failed.len()) {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, attempts, "positions could not be saved and are saved later");
        }
    }

    /// Saves a consumer whose connection is about to be moved to another gateway, where it is loaded. Many may want this at
    /// the same time; only so many are saved at once.
    pub(crate) async fn save_in_turn(&self, name: &ConsumerName) -> Result<(), ConsumerStoreError> {
        let _turn = self.turns.acquire().await;
        self.save(name).await
    }

    /// Saves what has changed about one consumer, after any other save of it. What fails stays to be saved, unless JetStream
    /// refuses it for good.
    async fn save(&self, name: &ConsumerName) -> Result<(), ConsumerStoreError> {
        let _turn = self.save_of(name).lock().await;
        let Some((change, known)) = self.active.take_change(name) else { return Ok(()) };
        // The future may be dropped at any moment.
        let mut unsaved = Unsaved { consumers: self, name, change, is_saved: false };
        let stored = match self.store.save(name, Some(&known), &unsaved.change).await {
            Ok(stored) => stored,
            Err(error) => {
                self.results.increment(if error.is_permanent() { 2 } else { 1 });
                if error.is_permanent() {
                    unsaved.is_saved = true;
                    self.active.leave_out(name, &unsaved.change);
                }
                return Err(error);
            }
        };
        unsaved.is_saved = true;
        self.results.increment(0);
        self.save_age.observe(unsaved.change.age());
        let is_kept = self.active.saved(name, stored);
        if !is_kept {
            // It was, or is about to be, removed; this save came behind.
            self.store.remove(name).await?;
        }
        Ok(())
    }

    fn note(&self, name: &ConsumerName, position: Option<PlacedPosition>, edit: Option<(String, Edit)>) {
        self.active.note(name, |stored| {
            let mut change = self.change_of(stored, position);
            change.subscriptions = edit.into_iter().collect();
            change
        });
    }

    /// A change of a connected consumer, to this position, if its client has acknowledged one.
    fn change_of(&self, stored: &StoredConsumer, position: Option<PlacedPosition>) -> Change {
        let mut change = self.change(position.unwrap_or(stored.state.placed()));
        change.is_acknowledged = position.is_some();
        change.resets = stored.state.resets;
        change
    }

    fn change(&self, position: PlacedPosition) -> Change {
        let presence = Presence::Connected(self.gateway.clone());
        Change::new(position, presence, self.clock.unix_seconds())
    }

    fn save_of(&self, name: &ConsumerName) -> &tokio::sync::Mutex<()> {
        &self.saves[self.active.hash(name) % SAVES]
    }
}
