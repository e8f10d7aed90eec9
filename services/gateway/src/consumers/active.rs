//! Consumers of which this gateway has connections, or something to save: one stripe of them. Without I/O.
//!
//! What has to be saved is listed when that begins, so that neither an acknowledgement nor a leaving looks at any other consumer:
//! what they cost does not depend on how many consumers there are. Only the refresh of idle records looks at all of a stripe.

mod stripes;

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::time::Duration;

use tidings_model::PlacedPosition;
use tidings_streams::consumers::{Change, ConsumerName, PlacesChange, StoredConsumer};
use tokio::time::Instant;

pub(super) use self::stripes::Stripes;
use super::places::Places;

/// A share of the active consumers.
#[derive(Default)]
struct Stripe {
    consumers: HashMap<ConsumerName, Box<ActiveConsumer>>,
    /// The consumers that have something to save.
    changed: Vec<ConsumerName>,
    /// The consumers whose last connection has ended.
    left: Vec<ConsumerName>,
}

/// What has to be saved of a consumer.
#[derive(Debug, Clone)]
pub(super) struct PendingChange {
    change: Change,
    /// Since when there has been something to save.
    since: Instant,
    /// The store has lost what was saved before.
    is_lost: bool,
}

impl Deref for PendingChange {
    type Target = Change;

    fn deref(&self) -> &Change {
        &self.change
    }
}

impl PendingChange {
    /// What is known of places now, after what was known before.
    fn note_places(&mut self, later: PlacesChange) {
        let known = self.change.places.take();
        let places = known.map_or_else(PlacesChange::default, |known| *known).followed_by(later);
        self.change.places = Some(Box::new(places));
    }

    /// For how long there has been something to save.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

/// A consumer of which this gateway has connections, or something to save.
struct ActiveConsumer {
    connections: usize,
    stored: StoredConsumer,
    /// Boxed, as most have nothing to save at any moment.
    change: Option<Box<PendingChange>>,
    saved_at: Instant,
    /// Of the clients that name no device.
    places: Option<Box<Places>>,
    /// The user was purged while connected; these connections leave no trace.
    is_purged: bool,
}

impl Stripe {
    /// Notes a change, made of what is stored, of a consumer that is known.
    fn note_of(&mut self, name: &ConsumerName, change: impl FnOnce(&StoredConsumer) -> Change) {
        if let Some(consumer) = self.consumers.get(name) {
            let change = change(&consumer.stored);
            self.note(name, change);
        }
    }

    fn get(&mut self, name: &ConsumerName) -> Option<&mut ActiveConsumer> {
        self.consumers.get_mut(name).map(|consumer| &mut **consumer)
    }

    fn names(&self) -> impl Iterator<Item = &ConsumerName> {
        self.consumers.keys()
    }

    /// Another connection of the consumer.
    fn arrive(&mut self, name: &ConsumerName, stored: &StoredConsumer, change: Change) {
        let consumer = self.consumers.entry(name.clone()).or_insert_with(|| {
            Box::new(ActiveConsumer {
                connections: 0,
                stored: stored.clone(),
                change: None,
                saved_at: Instant::now(),
                places: None,
                is_purged: false,
            })
        });
        if let Some(places) = &mut consumer.places
            && stored.state.resets != consumer.stored.state.resets
        {
            // An administrator has moved the device.
            places.reset(stored.state.placed());
        }
        consumer.connections += 1;
        consumer.is_purged = false;
        self.note(name, change);
    }

    /// A connection of the consumer has ended. `true` if it was the last one.
    fn leave(&mut self, name: &ConsumerName) -> bool {
        let Some(consumer) = self.consumers.get_mut(name) else { return false };
        consumer.connections = consumer.connections.saturating_sub(1);
        consumer.connections == 0
    }

    /// Adds a later change to what has to be saved.
    fn note(&mut self, name: &ConsumerName, later: Change) {
        self.note_since(name, PendingChange { change: later, since: Instant::now(), is_lost: false });
    }

    fn note_since(&mut self, name: &ConsumerName, later: PendingChange) {
        let Some(consumer) = self.consumers.get_mut(name) else { return };
        if consumer.is_purged {
            if consumer.connections == 0 {
                self.consumers.remove(name);
            }
            return;
        }
        let is_new = consumer.change.is_none();
        consumer.note(later);
        if consumer.connections == 0 {
            self.left.push(name.clone());
        } else if is_new {
            self.changed.push(name.clone());
        }
    }

    /// What has to be saved of a consumer, and what is stored.
    fn take_change(&mut self, name: &ConsumerName) -> Option<(Box<PendingChange>, StoredConsumer)> {
        let consumer = self.consumers.get_mut(name)?;
        let (mut change, stored) = (consumer.change.take()?, consumer.stored.clone());
        if let Some(places) = &mut consumer.places {
            change.note_places(places.change());
        }
        let stored = if change.is_lost { StoredConsumer::from(stored.state) } else { stored };
        Some((change, stored))
    }

    /// Puts back what could not be saved, before what has changed since.
    fn put_back(&mut self, name: &ConsumerName, change: PendingChange) {
        let Some(consumer) = self.consumers.get_mut(name) else { return };
        let later = consumer.change.take();
        self.note_since(name, change);
        if let Some(later) = later {
            self.note_since(name, *later);
        }
    }

    /// Keeps of a change that is refused for good what may be saved without the rest.
    fn leave_out(&mut self, name: &ConsumerName, refused: &PendingChange) {
        if !refused.change.subscriptions.is_empty() {
            let rest = Change { subscriptions: BTreeMap::new(), ..refused.change.clone() };
            return self.put_back(name, PendingChange { change: rest, ..*refused });
        }
        let consumer = self.consumers.get(name);
        if consumer.is_some_and(|consumer| consumer.connections == 0 && consumer.change.is_none()) {
            self.consumers.remove(name);
        }
    }

    /// A change was saved. `false` if the user was purged meanwhile.
    fn saved(&mut self, name: &ConsumerName, stored: StoredConsumer) -> bool {
        let Some(consumer) = self.consumers.get_mut(name) else { return false };
        // The connections here know of no reset that came after them.
        let resets = consumer.stored.state.resets;
        consumer.stored = stored;
        consumer.stored.state.resets = resets;
        consumer.saved_at = Instant::now();
        if consumer.is_purged {
            return false;
        }
        if consumer.connections == 0 && consumer.change.is_none() {
            self.consumers.remove(name);
        }
        true
    }

    /// The consumers that have left since the last time.
    fn take_left(&mut self) -> Vec<ConsumerName> {
        std::mem::take(&mut self.left)
    }

    /// Those that have something to save and were not saved within `interval`.
    fn take_changed(&mut self, interval: Duration) -> Vec<ConsumerName> {
        let now = Instant::now();
        let changed = std::mem::take(&mut self.changed);
        let (due, later): (Vec<_>, Vec<_>) = changed.into_iter().partition(|name| {
            self.consumers.get(name).is_none_or(|consumer| consumer.saved_at + interval <= now)
        });
        // What was saved meanwhile, for another reason, is left out.
        self.changed = later
            .into_iter()
            .filter(|name| self.consumers.get(name).is_some_and(|consumer| consumer.change.is_some()))
            .collect();
        due
    }

    /// Those with connections that have nothing to save and were not saved within `interval`.
    fn idle(&self, interval: Duration) -> Vec<ConsumerName> {
        let now = Instant::now();
        let is_idle = |consumer: &ActiveConsumer| {
            consumer.connections > 0
                && consumer.change.is_none()
                && !consumer.is_purged
                && consumer.saved_at + interval <= now
        };
        self.consumers
            .iter()
            .filter(|(_, consumer)| is_idle(consumer))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Those with connections.
    fn connected(&self) -> Vec<ConsumerName> {
        let connected = self.consumers.iter().filter(|(_, consumer)| consumer.connections > 0);
        connected.map(|(name, _)| name.clone()).collect()
    }

    /// Nothing of these consumers is saved any more.
    fn purge(&mut self, is_meant: impl Fn(&ConsumerName) -> bool) {
        self.consumers.retain(|name, consumer| {
            if is_meant(name) {
                (consumer.is_purged, consumer.change) = (true, None);
            }
            consumer.connections > 0 || !consumer.is_purged
        });
    }
}

impl ActiveConsumer {
    /// The consumer was reset to what is stored now.
    fn reset(&mut self, stored: StoredConsumer) {
        if let Some(change) = &mut self.change {
            (change.change.position, change.change.resets) = (stored.state.placed(), stored.state.resets);
            change.change.places = None;
        }
        if let Some(places) = &mut self.places {
            places.reset(stored.state.placed());
        }
        self.stored = stored;
    }

    fn position(&self) -> PlacedPosition {
        let stored = self.stored.state.placed();
        self.change.as_ref().map_or(stored, |change| stored.further(change.position))
    }

    fn note(&mut self, later: PendingChange) {
        let kept = match self.change.take() {
            None => later,
            Some(earlier) => {
                let PendingChange { change: earlier, since, is_lost } = *earlier;
                let is_lost = is_lost || later.is_lost;
                PendingChange { change: earlier.followed_by(later.change), since, is_lost }
            }
        };
        self.change = Some(Box::new(kept));
    }
}
