//! A write-behind cache of the durable consumers of connected devices.
//!
//! A consumer is loaded when its first connection arrives, and saved while it is connected and when it leaves. Writes are
//! coalesced: at most one per consumer and second, and one when its last connection ends. What was not saved when the
//! process died was not promised: it is delivered again.
//!
//! What JetStream refuses for good is not tried again. Of a record that is too large the subscriptions are left out, so
//! that the position continues to be saved.

mod stripes;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tidings_model::{Position, Tenant};
use tidings_session::Principal;
use tidings_streams::RepeatedFault;
use tidings_streams::consumers::{
    Change, ConsumerName, ConsumerStore, ConsumerStoreError, Edit, Presence, REFRESH, StoredConsumer,
};
use tokio::sync::{Notify, Semaphore};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::stripes::Stripes;
use crate::clock::Clock;

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
    gateway: String,
    clock: Clock,
    active: Stripes,
    /// One is held while a consumer is saved: by its name, so that an idle one needs none of its own.
    saves: Box<[tokio::sync::Mutex<()>]>,
    /// The last connection of a consumer has ended.
    left: Notify,
    /// Bounds how many leaving consumers are saved at the same time.
    turns: Semaphore,
    failed_saves: RepeatedFault,
}

/// A change that is put back to be saved later, unless it was saved.
struct Unsaved<'p> {
    consumers: &'p ConsumerCache,
    name: &'p ConsumerName,
    change: Box<Change>,
    is_saved: bool,
}

impl Drop for Unsaved<'_> {
    fn drop(&mut self) {
        if !self.is_saved {
            self.consumers.active.of(self.name).put_back(self.name, (*self.change).clone());
        }
    }
}

impl ConsumerCache {
    pub(crate) fn new(store: Arc<dyn ConsumerStore>, gateway: String, clock: Clock) -> Self {
        Self {
            store,
            gateway,
            clock,
            active: Stripes::default(),
            saves: (0..SAVES).map(|_| tokio::sync::Mutex::default()).collect(),
            left: Notify::new(),
            turns: Semaphore::new(CONCURRENT),
            failed_saves: RepeatedFault::default(),
        }
    }

    /// The store itself, for administration.
    pub(crate) fn store(&self) -> &dyn ConsumerStore {
        &*self.store
    }

    /// Loads a consumer for another connection, or creates it at the position that `first` gives.
    ///
    /// A new consumer is stored before anything is delivered to it: otherwise what comes after a
    /// crash in its first second would be lost on it.
    pub(crate) async fn arrive(
        &self,
        principal: &Principal,
        first: impl FnOnce() -> Position,
    ) -> Result<StoredConsumer, ConsumerStoreError> {
        let name = &principal.consumer;
        // What another connection of the device has acknowledged here counts, be it open or not.
        if let Err(error) = self.save(name).await
            && !error.is_permanent()
        {
            return Err(error);
        }
        let stored = if let Some(mut stored) = self.store.load(name).await? {
            if stored.state.grants == principal.grants {
                // One piece of memory for both.
                stored.state.grants.clone_from(&principal.grants);
            }
            stored
        } else {
            let mut change = self.change(first());
            change.grants.clone_from(&principal.grants);
            self.store.save(name, None, &change).await?
        };
        let mut change = self.change_of(&stored, None);
        change.grants.clone_from(&principal.grants);
        self.active.of(name).arrive(name, &stored, change);
        Ok(stored)
    }

    /// Makes sure that consumers can be kept. If the store had lost them, those that are connected are saved again.
    pub(crate) async fn check(&self) -> Result<(), ConsumerStoreError> {
        if self.store.check().await? {
            for mut stripe in self.active.all() {
                for name in stripe.connected() {
                    if let Some(change) =
                        stripe.get(&name).map(|consumer| self.change_of(&consumer.stored, None))
                    {
                        stripe.note(&name, change);
                    }
                }
            }
            self.left.notify_one();
        }
        Ok(())
    }

    /// The stream was restored from an older state. Every connected consumer continues at its beginning.
    pub(crate) async fn rewind(&self) {
        let mut names = Vec::new();
        for stripe in self.active.all() {
            names.extend(stripe.names().cloned());
        }
        let rewinding =
            futures_util::stream::iter(names).map(async |name| self.rewind_to(&name, 0).await.err());
        let failed: Vec<_> =
            rewinding.buffer_unordered(CONCURRENT).filter_map(std::future::ready).collect().await;
        self.log_failed(&failed);
    }

    /// Moves a consumer whose position is ahead of the stream back to the stream's end.
    pub(crate) async fn rewind_to(
        &self,
        name: &ConsumerName,
        sequence: u64,
    ) -> Result<(), ConsumerStoreError> {
        let _turn = self.save_of(name).lock().await;
        let known = self.active.of(name).get(name).map(|consumer| consumer.stored.state.position);
        let Some(known) = known else { return Ok(()) };
        let Some(stored) = self.store.reset(name, Position { sequence, ..known }).await? else {
            return Ok(());
        };
        if let Some(consumer) = self.active.of(name).get(name) {
            consumer.reset(stored);
        }
        Ok(())
    }

    /// The client has received everything up to this position.
    pub(crate) fn acknowledge(&self, name: &ConsumerName, position: Position) {
        self.note(name, Some(position), None);
    }

    /// The consumer is subscribed to a topic, or is no longer.
    pub(crate) fn remember(
        &self,
        name: &ConsumerName,
        position: Option<Position>,
        topic: String,
        edit: Edit,
    ) {
        self.note(name, position, Some((topic, edit)));
    }

    /// A connection has ended, whose client has received everything up to this position, if that is known.
    pub(crate) fn leave(&self, name: &ConsumerName, position: Option<Position>) {
        let mut stripe = self.active.of(name);
        let is_last = stripe.leave(name);
        let Some(consumer) = stripe.get(name) else { return };
        // Each acknowledgement was noted as it came. What is added here must not lead back to a shard or a stream that another
        // connection of the device has left.
        let mut change = self.change_of(&consumer.stored, position);
        change.is_acknowledged = false;
        if is_last {
            change.presence = Presence::Left(self.gateway.clone());
            self.left.notify_one();
        }
        stripe.note(name, change);
    }

    /// The user was purged: nothing that is known here is saved.
    pub(crate) fn purge(&self, tenant: &Tenant, user: &str) {
        for mut stripe in self.active.all() {
            stripe.purge(|name| name.tenant() == tenant && name.user() == user);
        }
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
                self.refresh_idle(round);
                self.save_all(self.take(Some(INTERVAL))).await;
            }
            self.save_all(self.take(None)).await;
        }
        let last = async { self.save_all([self.take(None), self.take(Some(Duration::ZERO))].concat()).await };
        if tokio::time::timeout(LAST_SAVES, last).await.is_err() {
            tracing::warn!(
                "some positions could not be saved in time; what they cover will be delivered again"
            );
        }
    }

    /// The consumers that have left; with an interval, those that have changed and were not saved within it.
    fn take(&self, interval: Option<Duration>) -> Vec<ConsumerName> {
        let mut names = Vec::new();
        for mut stripe in self.active.all() {
            names.extend(match interval {
                Some(interval) => stripe.take_changed(interval),
                None => stripe.take_left(),
            });
        }
        names
    }

    /// Has the records saved of a share of the consumers that were not saved for long, so that they do not count as gone.
    fn refresh_idle(&self, round: usize) {
        let mut stripe = self.active.in_round(round);
        for name in stripe.idle(REFRESH) {
            if let Some(change) = stripe.get(&name).map(|consumer| self.change_of(&consumer.stored, None)) {
                stripe.note(&name, change);
            }
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
        let Some((change, known)) = self.active.of(name).take_change(name) else { return Ok(()) };
        // The future may be dropped at any moment.
        let mut unsaved = Unsaved { consumers: self, name, change, is_saved: false };
        let stored = match self.store.save(name, Some(&known), &unsaved.change).await {
            Ok(stored) => stored,
            Err(error) => {
                if error.is_permanent() {
                    unsaved.is_saved = true;
                    self.active.of(name).leave_out(name, &unsaved.change);
                }
                return Err(error);
            }
        };
        unsaved.is_saved = true;
        let is_kept = self.active.of(name).saved(name, stored);
        if !is_kept {
            // It was, or is about to be, removed; this save came behind.
            self.store.remove(name).await?;
        }
        Ok(())
    }

    fn note(&self, name: &ConsumerName, position: Option<Position>, edit: Option<(String, Edit)>) {
        let mut stripe = self.active.of(name);
        let Some(consumer) = stripe.get(name) else { return };
        let mut change = self.change_of(&consumer.stored, position);
        change.subscriptions = edit.into_iter().collect();
        stripe.note(name, change);
    }

    /// A change of a connected consumer, to this position, if its client has acknowledged one.
    fn change_of(&self, stored: &StoredConsumer, position: Option<Position>) -> Change {
        let mut change = self.change(position.unwrap_or(stored.state.position));
        change.is_acknowledged = position.is_some();
        change.resets = stored.state.resets;
        change
    }

    fn change(&self, position: Position) -> Change {
        let presence = Presence::Connected(self.gateway.clone());
        Change::new(position, presence, self.clock.unix_seconds())
    }

    fn save_of(&self, name: &ConsumerName) -> &tokio::sync::Mutex<()> {
        &self.saves[self.active.hash(name) % SAVES]
    }
}
