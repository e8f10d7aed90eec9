//! The state of a consumer, and how changes are merged into it.
//!
//! Pure. The merge makes several writers safe: it can be applied to any newer state, and applied twice, with the same
//! result. So a writer that lost a conflict reads again and merges again.
//!
//! The invariant: between two resets, a position only moves forward, by the order of [`PlacedPosition`]. So a change that
//! comes late, from a gateway that had not heard of a move, a rebuild or another life of the stream, never leads back to
//! what the consumer has left. After a reset only changes that know of it count.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidings_model::json::present;
use tidings_model::{Grants, PlacedPosition, Position};

use super::places::{MalformedPlaces, PLACES, Places, PlacesChange, from_subscription, to_subscription};
use super::subscription::{Subscription, Subscriptions, UNCHOSEN};
use crate::nats::record::Record;

/// A gateway saves the consumers of its connected devices at least this often even if nothing changes, so that they
/// neither expire nor look like leftovers of a gateway that died. If consumers expire in less than twice this time, the
/// gateway has to save more often.
pub const REFRESH: Duration = Duration::from_secs(60 * 60);

/// The position, subscriptions and grants of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredState", into = "StoredState")]
pub struct ConsumerState {
    /// Everything up to here was received.
    pub position: Position,
    /// The generation of the tenant's envelopes that the position is in. Without it, the position may be in any: such a
    /// record is from before it was noted, or of a tenant that was never rebuilt or moved.
    pub generation: u32,
    /// Envelopes up to this sequence are older than the consumer, which was never sent them unless an operator moved it there;
    /// in the epoch of the position. 0 once the position was in another place, and of a record from before it was noted.
    pub since: u64,
    /// The subscriptions by topic.
    pub subscriptions: Subscriptions,
    /// The addresses, other than topics, that the user's token opened when the device last connected.
    pub grants: Grants,
    /// When a gateway last saw the device, in seconds since 1970-01-01T00:00:00Z.
    pub last_seen: u64,
    /// The gateway to which the device was last connected; `None` after it left. A gateway that died stays here:
    /// [`ConsumerState::is_connected`] ignores it after a while.
    pub connected: Option<String>,
    /// How many times an operator moved the consumer. A change that is based on an earlier number does not move the
    /// position; otherwise a connected device would undo every reset at once.
    pub resets: u32,
    /// The places of clients that share the consumer, since they name no device; none, once the last has left.
    pub places: Places,
}

impl ConsumerState {
    /// Whether the device counts as connected at this time, in seconds since 1970: its gateway saved it within twice
    /// [`REFRESH`].
    #[must_use]
    pub fn is_connected(&self, now: u64) -> bool {
        self.connected.is_some() && now.saturating_sub(self.last_seen) <= 2 * REFRESH.as_secs()
    }

    /// The position with its generation.
    #[must_use]
    pub fn placed(&self) -> PlacedPosition {
        PlacedPosition { generation: self.generation, position: self.position }
    }

    /// How far any client of the device has received; the position, unless several share the device.
    #[must_use]
    pub fn furthest(&self) -> PlacedPosition {
        self.places.positions().fold(self.placed(), PlacedPosition::further)
    }

    /// The gateways that have the device connected, as it is stored; each may come more than once.
    pub fn gateways(&self) -> impl Iterator<Item = &str> {
        self.connected.as_deref().into_iter().chain(self.places.gateways())
    }

    /// The state after an operator moved the consumer.
    pub(super) fn reset_to(&self, position: PlacedPosition) -> Self {
        let mut state = self.clone();
        state.move_to(position);
        state.places.reset(position);
        state.resets = state.resets.wrapping_add(1);
        state
    }

    /// Takes in who is there now.
    fn settle(&mut self, presence: &Presence) {
        if let Some(lowest) = self.places.position(self.placed()) {
            self.move_to(self.placed().further(lowest));
        }
        self.places.shorten(&self.subscriptions);
        self.places.tidy();
        match presence {
            Presence::Connected(gateway) => self.connected = Some(gateway.clone()),
            Presence::Left(gateway) if self.connected.as_ref() == Some(gateway) => {
                // Clients that share the device may be connected elsewhere.
                self.connected = self.places.gateways().next().map(str::to_owned);
            }
            Presence::Left(_) => {}
        }
    }

    /// Moves to a position. Sequences of another epoch cannot be compared, so all of its envelopes count as newer than every
    /// subscription.
    fn move_to(&mut self, to: PlacedPosition) {
        if self.placed().is_in_place_of(to) {
            self.since = self.since.min(to.position.sequence);
        } else {
            self.since = 0;
            self.subscriptions.iter_mut().for_each(|(_, subscription)| subscription.since = 0);
        }
        (self.generation, self.position) = (to.generation, to.position);
    }
}

/// Whether the first of two numbers of resets is the later one. They may wrap around.
fn is_later_reset(resets: u32, other: u32) -> bool {
    resets != other && resets.wrapping_sub(other) < u32::MAX / 2
}

/// A change to a consumer, as one gateway knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The acknowledged position.
    pub position: PlacedPosition,
    /// Whether the client has acknowledged the position just now. Otherwise it leads to no other epoch than that of the stored
    /// position: what lies between the two may be a gap of which the client does not know yet.
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
    /// Of clients that share the consumer, since they name no device. Then their places say how far it has received, and not the
    /// position.
    pub places: Option<Box<PlacesChange>>,
}

/// A change to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Subscribes, or replaces the filter. Of an existing subscription the lower `since` stays, so that nothing is hidden.
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

impl Presence {
    /// The gateway that says so.
    fn gateway(&self) -> &str {
        match self {
            Self::Connected(gateway) | Self::Left(gateway) => gateway,
        }
    }
}

impl Change {
    /// A change of the presence and the position only; the client has acknowledged that.
    #[must_use]
    pub fn new(position: PlacedPosition, presence: Presence, seen_at: u64) -> Self {
        Self {
            position,
            is_acknowledged: true,
            resets: 0,
            subscriptions: BTreeMap::new(),
            presence,
            seen_at,
            grants: Grants::default(),
            places: None,
        }
    }

    /// Applies the change to a state, or to that of a new consumer.
    #[must_use]
    pub fn apply(&self, stored: Option<&ConsumerState>) -> ConsumerState {
        let mut state = stored.cloned().unwrap_or_else(|| ConsumerState {
            position: self.position.position,
            generation: self.position.generation,
            since: self.position.position.sequence,
            subscriptions: Subscriptions::new(),
            grants: Grants::default(),
            last_seen: self.seen_at,
            connected: None,
            resets: self.resets,
            places: Places::default(),
        });
        let may_move = self.is_acknowledged || self.position.is_in_place_of(state.placed());
        if is_later_reset(self.resets, state.resets) {
            // NATS came back with a state from before the reset.
            state.move_to(self.position);
            state.places.reset(self.position);
            state.resets = self.resets;
        } else if self.resets == state.resets && may_move {
            state.move_to(state.placed().further(self.position));
        }
        let is_in_place = self.position.is_in_place_of(state.placed());
        // Whichever gateway saves first, the consumer is as old as the first position that any of them knows.
        state.since = if is_in_place { state.since.min(self.position.position.sequence) } else { 0 };
        if !self.grants.is_empty() {
            state.grants.clone_from(&self.grants);
        }
        // The device may have chosen its topics elsewhere, before it was noted here which it has from the start.
        let is_late = stored.is_some_and(|stored| !stored.subscriptions.contains_key(UNCHOSEN));
        let is_from_start = matches!(self.subscriptions.get(UNCHOSEN), Some(Edit::Subscribe(_)));
        state.places.spell_out(&state.subscriptions);
        if let Some(change) = &self.places {
            let reset_to = (self.resets != state.resets).then_some(state.placed());
            state.places.apply(change, self.presence.gateway(), reset_to);
        }
        if !(is_from_start && is_late) {
            for (topic, edit) in &self.subscriptions {
                if *edit != Edit::Unsubscribe || !state.places.want(topic) {
                    edit.apply(topic, is_in_place, &mut state.subscriptions);
                }
            }
        }
        state.settle(&self.presence);
        state.last_seen = state.last_seen.max(self.seen_at);
        state
    }

    /// This change and a later one of the same gateway as one change, which leads no further back than the two.
    #[must_use]
    pub fn followed_by(self, later: Self) -> Self {
        let (earlier, here) = (self, later.position);
        // A connection that does not know of a reset does not undo it.
        let (position, resets, is_acknowledged) = if is_later_reset(earlier.resets, later.resets) {
            (earlier.position, earlier.resets, earlier.is_acknowledged)
        } else if is_later_reset(later.resets, earlier.resets) {
            (here, later.resets, later.is_acknowledged)
        } else {
            let acknowledged = (earlier.is_acknowledged, later.is_acknowledged);
            let position = match acknowledged {
                _ if earlier.position.is_in_place_of(here) => earlier.position.further(here),
                (true, false) => earlier.position,
                (false, true) => here,
                _ => earlier.position.further(here),
            };
            (position, later.resets, acknowledged.0 || acknowledged.1)
        };
        let mut subscriptions = BTreeMap::new();
        for (change, edits) in [(earlier.position, earlier.subscriptions), (here, later.subscriptions)] {
            for (topic, edit) in edits {
                edit.note(topic, change.is_in_place_of(position), &mut subscriptions);
            }
        }
        let grants = if later.grants.is_empty() { earlier.grants } else { later.grants };
        let seen_at = earlier.seen_at.max(later.seen_at);
        let places = match (earlier.places, later.places) {
            (Some(earlier), Some(later)) => Some(Box::new(earlier.followed_by(*later))),
            (earlier, later) => later.or(earlier),
        };
        Self {
            position,
            is_acknowledged,
            resets,
            subscriptions,
            presence: later.presence,
            seen_at,
            grants,
            places,
        }
    }
}

impl Edit {
    /// Adds the edit to earlier ones. What another place holds counts as newer than the subscription.
    fn note(mut self, topic: String, is_in_place: bool, edits: &mut BTreeMap<String, Self>) {
        if let Self::Subscribe(subscription) = &mut self {
            if !is_in_place {
                subscription.since = 0;
            }
            if let Some(Self::Subscribe(earlier)) = edits.get(&topic) {
                subscription.since = subscription.since.min(earlier.since);
            }
        }
        edits.insert(topic, self);
    }

    /// Applies the edit; what another place holds counts as newer than the subscription.
    fn apply(&self, topic: &str, is_in_place: bool, subscriptions: &mut Subscriptions) {
        match self {
            Self::Unsubscribe => {
                subscriptions.remove(topic);
            }
            Self::Subscribe(wanted) => {
                if subscriptions.is_empty() {
                    // Most consumers have one subscription, in memory all the time, so reserve no room for more.
                    *subscriptions = Subscriptions::with_capacity(1);
                }
                let since = if is_in_place { wanted.since } else { 0 };
                let subscription = subscriptions
                    .entry(topic.to_owned())
                    .or_insert_with(|| Subscription { since, ..wanted.clone() });
                // What was unsubscribed and subscribed again between two saves hides nothing either.
                subscription.since = subscription.since.min(since);
                subscription.filter.clone_from(&wanted.filter);
            }
        }
    }
}

/// The members of [`ConsumerState`] as gateways of every version know them: places are among the subscriptions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredState {
    position: Position,
    #[serde(default, skip_serializing_if = "is_not_noted")]
    generation: u32,
    #[serde(default, skip_serializing_if = "is_not_noted")]
    since: u64,
    subscriptions: Subscriptions,
    grants: Grants,
    last_seen: u64,
    #[serde(deserialize_with = "present")]
    connected: Option<String>,
    resets: u32,
}

impl From<ConsumerState> for StoredState {
    fn from(state: ConsumerState) -> Self {
        let ConsumerState {
            position,
            generation,
            since,
            mut subscriptions,
            grants,
            last_seen,
            connected,
            resets,
            places,
        } = state;
        if let Some(places) = to_subscription(&places) {
            subscriptions.insert(PLACES.to_owned(), places);
        }
        Self { position, generation, since, subscriptions, grants, last_seen, connected, resets }
    }
}

impl TryFrom<StoredState> for ConsumerState {
    type Error = MalformedPlaces;

    fn try_from(stored: StoredState) -> Result<Self, MalformedPlaces> {
        let StoredState {
            position,
            generation,
            since,
            mut subscriptions,
            grants,
            last_seen,
            connected,
            resets,
        } = stored;
        let places = match subscriptions.remove(PLACES) {
            Some(places) => from_subscription(&places)?,
            None => Places::default(),
        };
        Ok(Self { position, generation, since, subscriptions, grants, last_seen, connected, resets, places })
    }
}

fn is_not_noted<N: PartialEq + Default>(number: &N) -> bool {
    *number == N::default()
}

impl Record for ConsumerState {
    const VERSION: u64 = 1;
}

#[cfg(test)]
mod tests;
