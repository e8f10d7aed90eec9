//! A write-behind cache of the durable consumers of connected devices.
//!
//! A consumer is loaded when its first connection arrives, and saved while it is connected and when it leaves. Writes are
//! coalesced: at most one per consumer and second, and one when its last connection ends. What was not saved when the
//! process died was not promised: it is delivered again.
//!
//! Clients that name no device share one, and have places of their own in it (`places`), which are stored before they are
//! served: so whichever gateways they are connected to, and whichever of these is killed, none takes messages from another.
//!
//! What JetStream refuses for good is not tried again. Of a record that is too large the subscriptions are left out, so
//! that the position continues to be saved.

mod active;
mod arriving;
mod heard;
mod places;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures_util::StreamExt as _;
use tidings_metrics::{Registry, Tally, Timing};
use tidings_model::{Epoch, Place, PlacedPosition, Position, Tenant};
use tidings_streams::consumers::{
    Change, ConsumerName, ConsumerStore, ConsumerStoreError, Edit, Presence, REFRESH, StoredConsumer,
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
/// How long the last saves may take.
const LAST_SAVES: Duration = Duration::from_secs(5);

/// The durable consumers of connected devices.
pub(crate) struct ConsumerCache {
    store: Arc<dyn ConsumerStore>,
    /// The name of this gateway.
    gateway: Arc<str>,
    /// Tells this process from an earlier one of the same name.
    life: u64,
    /// How many places were opened.
    opened: AtomicU64,
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
            gateway: gateway.into(),
            life: u64::try_from(clock.now().unix_timestamp_nanos()).unwrap_or_default(),
            opened: AtomicU64::new(0),
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
        self.save_with_places(name).await
    }

    /// Saves what has changed, and where the clients are that share the device: of those to which little comes, it is not noted
    /// as they move on.
    async fn save_with_places(&self, name: &ConsumerName) -> Result<(), ConsumerStoreError> {
        if self.active.with_places(name, |_| ()).is_some() {
            self.note(name, None, None);
        }
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
        let presence = Presence::Connected(self.gateway.to_string());
        Change::new(position, presence, self.clock.unix_seconds())
    }

    fn save_of(&self, name: &ConsumerName) -> &tokio::sync::Mutex<()> {
        &self.saves[self.active.hash(name) % SAVES]
    }
}
