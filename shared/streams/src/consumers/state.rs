//! What a consumer is, and how what a gateway learned is merged into it.
//!
//! Pure. The merge is what makes several writers safe: it may be applied to any newer state and
//! applied twice, and the outcome is the same. So a writer that was too slow reads again and merges
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use tidings_model::json::present;
use tidings_model::{Grants, Position};

use crate::record::Record;

/// For each attribute, the values of which an envelope must have one.
pub type TopicFilter = BTreeMap<String, BTreeSet<String>>;

/// A gateway saves the consumers of its connected devices at least this often even if nothing
/// happens, so that they neither expire nor are taken for the remains of a gateway that died.
/// Where consumers expire sooner than in twice this time, it has to save more often.
pub const REFRESH: Duration = Duration::from_secs(60 * 60);

/// What a consumer asked for, by topic. Every connected device has few of them, in memory all the time.
pub type Subscriptions = LiteMap<String, Subscription>;

/// Where a consumer stands and what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerState {
    /// Everything up to here was received.
    pub position: Position,
    /// By topic.
    pub subscriptions: Subscriptions,
    /// The addresses, other than of topics, that the user's token opened when the device last
    /// connected.
    pub grants: Grants,
    /// When a gateway last knew of the device, in seconds since 1970-01-01T00:00:00Z.
    pub last_seen: u64,
    /// The gateway that the device was last connected to, until it left. A gateway that died
    /// stays here: [`ConsumerState::is_connected`] tells for how long to believe it.
    #[serde(deserialize_with = "present")]
    pub connected: Option<String>,
    /// How often an operator moved the consumer. A change that was made in ignorance of the last
    /// time does not move the position, or a connected device would undo every reset at once.
    pub resets: u32,
}

/// A topic that the client asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// What it is narrowed to.
    pub filter: TopicFilter,
    /// Envelopes of the topic up to this sequence came before the subscription; in the epoch of the
    /// consumer's position.
    pub since: u64,
}

impl ConsumerState {
    /// Whether a connected device is to be believed at this time, in seconds since 1970: its
    /// gateway saved within twice [`REFRESH`].
    #[must_use]
    pub fn is_connected(&self, now: u64) -> bool {
        self.connected.is_some() && now.saturating_sub(self.last_seen) <= 2 * REFRESH.as_secs()
    }

    /// The state after an operator moved it.
    pub(super) fn reset_to(&self, position: Position) -> Self {
        let mut state = self.clone();
        state.enter_epoch(position);
        state.position = position;
        state.resets = state.resets.wrapping_add(1);
        state
    }

    /// Sequences of another epoch mean nothing; whatever comes in the new one comes after every
    /// subscription.
    fn enter_epoch(&mut self, position: Position) {
        if self.position.epoch != position.epoch {
            self.position = position;
            self.subscriptions.iter_mut().for_each(|(_, subscription)| subscription.since = 0);
        }
    }
}

/// What a gateway learned about a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What the device has acknowledged, in the epoch that the stream has now.
    pub position: Position,
    /// The [`ConsumerState::resets`] that the caller knows of.
    pub resets: u32,
    /// Topics subscribed to and given up since the last save.
    pub subscriptions: BTreeMap<String, Edit>,
    /// Whether the device is connected to this gateway.
    pub presence: Presence,
    /// The time, in seconds since 1970-01-01T00:00:00Z.
    pub seen_at: u64,
    /// The addresses, other than of topics, that the user's token opens now; none to leave them as
    /// they are.
    pub grants: Grants,
}

/// What happened to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Asked for, or asked for with another filter. The `since` of a subscription that is already
    /// there stays.
    Subscribe(Subscription),
    /// Given up.
    Unsubscribe,
}

/// Where a device is, by a gateway's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// At this gateway.
    Connected(String),
    /// No longer at this gateway, but perhaps at another one.
    Left(String),
}

impl Change {
    /// A change that only says where the device is and what it has acknowledged.
    #[must_use]
    pub fn new(position: Position, presence: Presence, seen_at: u64) -> Self {
        Self {
            position,
            resets: 0,
            subscriptions: BTreeMap::new(),
            presence,
            seen_at,
            grants: Grants::default(),
        }
    }

    /// The state after this change; without a state, that of a new consumer.
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
        state.enter_epoch(self.position);
        if state.resets == self.resets {
            state.position.sequence = state.position.sequence.max(self.position.sequence);
        }
        if !self.grants.is_empty() {
            state.grants.clone_from(&self.grants);
        }
        for (topic, edit) in &self.subscriptions {
            edit.apply(topic, &mut state.subscriptions);
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
                    // Most have one, in memory all the time: no room for others that never come.
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
