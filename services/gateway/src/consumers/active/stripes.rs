//! The active consumers, spread over stripes, each with a lock of its own, so that two workers rarely wait for each other. What
//! concerns all of them goes through one stripe at a time. Without I/O.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidings_model::PlacedPosition;
use tidings_streams::consumers::{Change, ConsumerName, StoredConsumer};

use super::super::places::{Newcomer, PlaceId, Places};
use super::{PendingChange, Stripe};

/// A power of two, well above the number of workers.
const STRIPES: usize = 64;

/// All active consumers.
pub(in crate::consumers) struct Stripes {
    stripes: Box<[Mutex<Stripe>]>,
    hasher: RandomState,
}

impl Default for Stripes {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl Stripes {
    /// A number for a consumer that stays the same.
    pub(in crate::consumers) fn hash(&self, name: &ConsumerName) -> usize {
        usize::try_from(self.hasher.hash_one(name) % u64::from(u32::MAX)).unwrap_or_default()
    }

    /// Another connection of a consumer has come; `change` is what is to be saved of that. If it names no device, it has a
    /// place of its own.
    pub(in crate::consumers) fn arrive(
        &self,
        name: &ConsumerName,
        stored: &StoredConsumer,
        change: Change,
        newcomer: Option<Newcomer>,
    ) -> Option<PlaceId> {
        let mut stripe = self.of(name);
        stripe.arrive(name, stored, change);
        let mut newcomer = newcomer?;
        let consumer = stripe.get(name)?;
        let places = consumer.places.get_or_insert_default();
        newcomer.abandoned.retain(|(name, _)| !places.has(name));
        places.arrive(stored.state.placed(), newcomer)
    }

    /// What becomes of the places of a device whose clients share it; `None` if there are none.
    pub(in crate::consumers) fn with_places<T>(
        &self,
        name: &ConsumerName,
        act: impl FnOnce(&mut Places) -> T,
    ) -> Option<T> {
        self.of(name).get(name)?.places.as_mut().map(|places| act(places))
    }

    /// Notes a change, made of what is stored, of a consumer that is known.
    pub(in crate::consumers) fn note(
        &self,
        name: &ConsumerName,
        change: impl FnOnce(&StoredConsumer) -> Change,
    ) {
        self.of(name).note_of(name, change);
    }

    /// A connection of the consumer has ended; the change is told whether it was the last.
    pub(in crate::consumers) fn leave(
        &self,
        name: &ConsumerName,
        change: impl FnOnce(&StoredConsumer, bool) -> Change,
    ) {
        let mut stripe = self.of(name);
        let is_last = stripe.leave(name);
        stripe.note_of(name, |stored| change(stored, is_last));
    }

    /// Notes a change of every connected consumer, none of which the store has any more.
    pub(in crate::consumers) fn note_lost(&self, change: impl Fn(&StoredConsumer) -> Change) {
        for mut stripe in self.all() {
            for name in stripe.connected() {
                stripe.note_of(&name, &change);
                if let Some(pending) = stripe.get(&name).and_then(|consumer| consumer.change.as_mut()) {
                    pending.is_lost = true;
                }
            }
        }
    }

    /// Notes a change of the consumers of this round that were not saved for so long, and have nothing else to be saved.
    pub(in crate::consumers) fn note_idle(
        &self,
        round: usize,
        interval: Duration,
        change: impl Fn(&StoredConsumer) -> Change,
    ) {
        let mut stripe = self.in_round(round);
        for name in stripe.idle(interval) {
            stripe.note_of(&name, &change);
        }
    }

    /// The position of a consumer, as it is stored or is about to be.
    pub(in crate::consumers) fn position(&self, name: &ConsumerName) -> Option<PlacedPosition> {
        self.of(name).get(name).map(|consumer| consumer.position())
    }

    /// A consumer was moved.
    pub(in crate::consumers) fn reset(&self, name: &ConsumerName, stored: StoredConsumer) {
        if let Some(consumer) = self.of(name).get(name) {
            consumer.reset(stored);
        }
    }

    /// Every consumer.
    pub(in crate::consumers) fn names(&self) -> Vec<ConsumerName> {
        let mut names = Vec::new();
        for stripe in self.all() {
            names.extend(stripe.names().cloned());
        }
        names
    }

    /// Takes what is to be saved of a consumer, with what is stored. Then one of the next three follows.
    pub(in crate::consumers) fn take_change(
        &self,
        name: &ConsumerName,
    ) -> Option<(Box<PendingChange>, StoredConsumer)> {
        self.of(name).take_change(name)
    }

    /// A change that was taken could not be saved.
    pub(in crate::consumers) fn put_back(&self, name: &ConsumerName, change: PendingChange) {
        self.of(name).put_back(name, change);
    }

    /// A change that was taken is refused for good.
    pub(in crate::consumers) fn leave_out(&self, name: &ConsumerName, refused: &PendingChange) {
        self.of(name).leave_out(name, refused);
    }

    /// A change that was taken is saved; `false` if the consumer was purged meanwhile.
    pub(in crate::consumers) fn saved(&self, name: &ConsumerName, stored: StoredConsumer) -> bool {
        self.of(name).saved(name, stored)
    }

    /// The consumers that have left; with an interval, those that have changed and were not saved within it.
    pub(in crate::consumers) fn take(&self, interval: Option<Duration>) -> Vec<ConsumerName> {
        let mut names = Vec::new();
        for mut stripe in self.all() {
            names.extend(match interval {
                Some(interval) => stripe.take_changed(interval),
                None => stripe.take_left(),
            });
        }
        names
    }

    /// Forgets what is to be saved of these consumers.
    pub(in crate::consumers) fn purge(&self, is_meant: impl Fn(&ConsumerName) -> bool) {
        for mut stripe in self.all() {
            stripe.purge(&is_meant);
        }
    }

    /// The stripe of a consumer.
    fn of(&self, name: &ConsumerName) -> MutexGuard<'_, Stripe> {
        self.lock(self.hash(name))
    }

    /// The stripes, one after the other.
    fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Stripe>> {
        (0..STRIPES).map(|index| self.lock(index))
    }

    /// The stripe that is looked at in this round; each is in so many rounds.
    fn in_round(&self, round: usize) -> MutexGuard<'_, Stripe> {
        self.lock(round)
    }

    fn lock(&self, index: usize) -> MutexGuard<'_, Stripe> {
        self.stripes[index % STRIPES].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
