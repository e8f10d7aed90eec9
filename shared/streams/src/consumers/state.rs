//! The state of a consumer, and how changes are merged into it.
//!
//! Pure. The merge makes several writers safe: it can be applied to any newer state, and applied twice, with the same
//! result. So a writer that lost a conflict reads again and merges again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use tidings_model::json::present;
use tidings_model::{Grants, Position};

use crate::nats::record::Record;

/// For each attribute, the accepted values.
pub type TopicFilter = BTreeMap<String, BTreeSet<String>>;

/// A gateway saves the consumers of its connected devices at least this often even if nothing changes, so that they
/// neither expire nor look like leftovers of a gateway that died. If consumers expire in less than twice this time, the
/// gateway has to save more often.
pub const REFRESH: Duration = Duration::from_secs(60 * 60);

/// The subscriptions by topic. Every connected device has a few of them, in memory all the time.
pub type Subscriptions = LiteMap<String, Subscription>;

/// The name under which subscriptions note that the device has not subscribed or unsubscribed yet: its topics are those
/// that the catalog opens from the start. No topic has an empty name. A gateway that does not know this entry takes it for a
/// topic that is gone.
pub const UNCHOSEN: &str = "";

/// The position, subscriptions and grants of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerState {
    /// Everything up to here was received.
    pub position: Position,
    /// The subscriptions by topic.
    pub subscriptions: Subscriptions,
    /// The addresses, other than topics, that the user's token opened when the device last connected.
    pub grants: Grants,
    /// When a gateway last saw the device, in seconds since 1970-01-01T00:00:00Z.
    pub last_seen: u64,
    /// The gateway to which the device was last connected; `None` after it left. A gateway that died stays here:
    /// [`ConsumerState::is_connected`] ignores it after a while.
    #[serde(deserialize_with = "present")]
    pub connected: Option<String>,
    /// How many times an operator moved the consumer. A change that is based on an earlier number does not move the
    /// position; otherwise a connected device would undo every reset at once.
    pub resets: u32,
}

/// A subscription to a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// The filter.
    pub filter: TopicFilter,
    /// Envelopes of the topic up to this sequence are older than the subscription; in the epoch of the consumer's
    /// position.
    pub since: u64,
}

impl ConsumerState {
    /// Whether the device counts as connected at this time, in seconds since 1970: its gateway saved it within twice
    /// [`REFRESH`].
    #[must_use]
    pub fn is_connected(&self, now: u64) -> bool {
        self.connected.is_some() && now.saturating_sub(self.last_seen) <= 2 * REFRESH.as_secs()
    }

    /// The state after an operator moved the consumer.
    pub(super) fn reset_to(&self, position: Position) -> Self {
        let mut state = self.clone();
        state.enter_epoch(position);
        state.position = position;
        state.resets = state.resets.wrapping_add(1);
        state
    }

    /// Enters the epoch of the position. Sequences of another epoch cannot be compared, and all envelopes of the new
    /// one are newer than every subscription.
    fn enter_epoch(&mut self, position: Position) {
        if self.position.epoch != position.epoch {
            self.position = position;
            self.subscriptions.iter_mut().for_each(|(_, subscription)| subscription.since = 0);
        }
    }
}

/// A change to a consumer, as one gateway knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The acknowledged position, in the current epoch of the stream.
    pub position: Position,
    /// Whether the client has acknowledged the position just now. Otherwise it may be of a stream, or a generation, that the
    /// consumer has left meanwhile, and counts only in the epoch of the stored position.
    pub is_acknowledged: bool,
    /// The [`ConsumerState::resets`] on which the change is based.
    pub resets: u32,
    /// Subscribed and unsubscribed topics since the last save.
    pub subscriptions: BTreeMap<String, Edit>,
    /// Whether the device is connected to this gateway.
    pub presence: Presence,
    /// The time, in seconds since 1970-01-01T00:00:00Z.
    pub seen_at: u64,
    /// The addresses, other than topics, that the user's token opens now; empty to keep the stored ones.
    pub grants: Grants,
}

/// A change to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Subscribes, or replaces the filter. The `since` of an existing subscription stays.
    Subscribe(Subscription),
    /// Unsubscribes.
    Unsubscribe,
}

/// Where a device is, by the name of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// At this gateway.
    Connected(String),
    /// No longer at this gateway, but perhaps at another one.
    Left(String),
}

impl Change {
    /// A change of the presence and the position only; the client has acknowledged that.
    #[must_use]
    pub fn new(position: Position, presence: Presence, seen_at: u64) -> Self {
        Self {
            position,
            is_acknowledged: true,
            resets: 0,
            subscriptions: BTreeMap::new(),
            presence,
            seen_at,
            grants: Grants::default(),
        }
    }

    /// Applies the change to a state, or to that of a new consumer.
    #[must_use]
    pub fn apply(&self, stored: Option<&ConsumerState>) -> ConsumerState {
        let mut state = stored.cloned().unwrap_or_else(|| ConsumerState {
            position: self.position,
            subscriptions: Subscriptions::new(),
            grants: Grants::default(),
            last_seen: self.seen_at,
            connected: None,
            resets: self.resets,
        });
        if self.is_acknowledged {
            state.enter_epoch(self.position);
        }
        if state.resets == self.resets && state.position.epoch == self.position.epoch {
            state.position.sequence = state.position.sequence.max(self.position.sequence);
        }
        if !self.grants.is_empty() {
            state.grants.clone_from(&self.grants);
        }
        // The device may have chosen its topics elsewhere, before it was noted here which it has from the start.
        let is_late = stored.is_some_and(|stored| !stored.subscriptions.contains_key(UNCHOSEN));
        let is_from_start = matches!(self.subscriptions.get(UNCHOSEN), Some(Edit::Subscribe(_)));
        if !(is_from_start && is_late) {
            for (topic, edit) in &self.subscriptions {
                edit.apply(topic, &mut state.subscriptions);
            }
        }
        match &self.presence {
            Presence::Connected(gateway) => state.connected = Some(gateway.clone()),
            Presence::Left(gateway) if state.connected.as_ref() == Some(gateway) => state.connected = None,
            Presence::Left(_) => {}
        }
        state.last_seen = state.last_seen.max(self.seen_at);
        state
    }
}

impl Edit {
    fn apply(&self, topic: &str, subscriptions: &mut Subscriptions) {
        match self {
            Self::Unsubscribe => {
                subscriptions.remove(topic);
            }
            Self::Subscribe(wanted) => {
                if subscriptions.is_empty() {
                    // Most consumers have one subscription, in memory all the time, so reserve no room for more.
                    *subscriptions = Subscriptions::with_capacity(1);
                }
                let subscription = subscriptions.entry(topic.to_owned()).or_insert_with(|| wanted.clone());
                subscription.filter.clone_from(&wanted.filter);
            }
        }
    }
}

impl Record for ConsumerState {
    const VERSION: u64 = 1;
}

#[cfg(test)]
mod tests;
