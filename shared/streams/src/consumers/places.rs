//! The places of clients that share a consumer because they name no device, each at whichever gateway it is connected to. Pure.
//!
//! What one of them has received is not thereby received by another. Each has a place in the consumer's record while it is
//! open; one that leaves while another is open, anywhere, leaves its place behind, and the next that comes takes the lowest of
//! these. The consumer's position is the lowest of all places; when the last client has left, that is all that remains.
//!
//! A gateway states which places are open at it as a whole, so a place that it does not know, because it was killed or NATS came
//! back with an older state, counts as left behind. Everything else about places is said by their names, which no two have:
//! saying it twice changes nothing. Where two statements cross, a place is kept too long rather than too short, and messages
//! come twice rather than never.

mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use litemap::LiteMap;
use tidings_model::PlacedPosition;

use super::subscription::{Subscriptions, UNCHOSEN};
pub(super) use stored::{MalformedPlaces, PLACES, from_subscription, to_subscription};

/// The name of a place: of the gateway that has opened it, of that gateway's life, and a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlaceName {
    gateway: Arc<str>,
    life: u64,
    number: u64,
}

impl PlaceName {
    /// The name of a place; no two places of one gateway have the same life and number.
    #[must_use]
    pub fn new(gateway: Arc<str>, life: u64, number: u64) -> Self {
        Self { gateway, life, number }
    }

    /// The gateway that has opened it.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.gateway
    }
}

impl fmt::Display for PlaceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}-{}/{}", self.life, self.number, self.gateway)
    }
}

/// A place that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPlace {
    /// Up to where the client has received everything.
    pub position: PlacedPosition,
    /// The topics that it is subscribed to.
    pub topics: Vec<String>,
}

/// A place in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    position: PlacedPosition,
    client: Client,
}

/// What a record says of a place's client.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Client {
    /// It has left, while another one was open.
    Left,
    /// It is open, and subscribed to all of the consumer's topics, as most are.
    Everything,
    /// It is open, and subscribed to these topics.
    Topics(Vec<String>),
}

/// The places in a record, by their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places(Option<Box<LiteMap<PlaceName, Place>>>);

/// What a gateway says of places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlacesChange {
    /// All that are open at this gateway.
    pub open: BTreeMap<PlaceName, OpenPlace>,
    /// Those that were left behind.
    pub left: BTreeMap<PlaceName, PlacedPosition>,
    /// Those left behind that another client has taken.
    pub taken: BTreeSet<PlaceName>,
}

impl PlacesChange {
    /// This change and a later one of the same gateway as one.
    #[must_use]
    pub fn followed_by(mut self, later: Self) -> Self {
        self.left.retain(|name, _| !later.taken.contains(name));
        self.taken.retain(|name| !later.left.contains_key(name));
        self.left.extend(later.left);
        self.taken.extend(later.taken);
        Self { open: later.open, ..self }
    }
}

impl Places {
    /// Whether there are none, as in the records of clients that name their devices.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn all(&self) -> impl Iterator<Item = (&PlaceName, &Place)> {
        self.0.iter().flat_map(|places| places.iter())
    }

    fn open(&self) -> impl Iterator<Item = (&PlaceName, &Place)> {
        self.all().filter(|(_, place)| place.client != Client::Left)
    }

    /// The gateways at which places are open; each may come more than once.
    pub fn gateways(&self) -> impl Iterator<Item = &str> {
        self.open().map(|(name, _)| name.gateway())
    }

    /// The places that the next client may take: those left behind, and those whose client nobody has any more, as far as
    /// `is_known` knows.
    pub fn abandoned(
        &self,
        is_known: impl Fn(&PlaceName) -> bool,
    ) -> impl Iterator<Item = (&PlaceName, PlacedPosition)> {
        let is_abandoned =
            move |(name, place): &(&PlaceName, &Place)| place.client == Client::Left || !is_known(name);
        self.all().filter(is_abandoned).map(|(name, place)| (name, place.position))
    }

    /// The position of the consumer, in the place of the newest that is known. `None` while one is in another place of the
    /// tenant's envelopes, or if there are no places.
    pub(super) fn position(&self, stored: PlacedPosition) -> Option<PlacedPosition> {
        let newest = self.positions().fold(stored, PlacedPosition::further);
        lowest_of(self.positions(), newest).filter(|lowest| lowest.is_in_place_of(newest))
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = PlacedPosition> {
        self.all().map(|(_, place)| place.position)
    }

    /// Forgets the places when the last client has left.
    pub(super) fn tidy(&mut self) {
        if self.open().next().is_none() {
            self.0 = None;
        }
    }

    /// The consumer was moved there: whoever is open goes on from there.
    pub(super) fn reset(&mut self, position: PlacedPosition) {
        if let Some(places) = &mut self.0 {
            places.retain(|_, place| place.client != Client::Left);
            places.iter_mut().for_each(|(_, place)| place.position = position);
        }
        self.tidy();
    }

    /// Applies what this gateway says. If it does not know of a reset, its clients are where that has put them.
    pub(super) fn apply(&mut self, change: &PlacesChange, gateway: &str, reset_to: Option<PlacedPosition>) {
        // Most devices have one client, in memory all the time.
        let places = self.0.get_or_insert_with(|| Box::new(LiteMap::with_capacity(1)));
        for name in &change.taken {
            places.remove(name);
        }
        for (name, place) in places.iter_mut() {
            if name.gateway() == gateway && !change.open.contains_key(name) {
                place.client = Client::Left;
            }
        }
        let left = change.left.iter().map(|(name, position)| (name, *position, Client::Left));
        let open = change.open.iter().map(|(name, open)| {
            // In one order, so that what is said again is the same.
            let topics: BTreeSet<_> = open.topics.iter().cloned().collect();
            (name, open.position, Client::Topics(topics.into_iter().collect()))
        });
        for (name, position, client) in left.chain(open) {
            let known = places.get(name).map(|known| known.position);
            let position = reset_to.map_or(position, |reset| known.unwrap_or(reset));
            places.insert(name.clone(), Place { position, client });
        }
    }

    /// Notes of each client which of the consumer's topics it is subscribed to, before these change.
    pub(super) fn spell_out(&mut self, subscriptions: &Subscriptions) {
        for place in self.clients() {
            if *place == Client::Everything {
                *place = Client::Topics(topics(subscriptions).cloned().collect());
            }
        }
    }

    /// Makes them short again, after the consumer's topics have changed.
    pub(super) fn shorten(&mut self, subscriptions: &Subscriptions) {
        for place in self.clients() {
            if let Client::Topics(own) = place
                && own.len() == topics(subscriptions).count()
                && topics(subscriptions).all(|topic| own.contains(topic))
            {
                *place = Client::Everything;
            }
        }
    }

    /// Whether a client is subscribed to a topic, once that is spelled out.
    pub(super) fn want(&self, topic: &str) -> bool {
        self.all().any(|(_, place)| match &place.client {
            Client::Topics(topics) => topics.iter().any(|wanted| wanted == topic),
            Client::Left | Client::Everything => false,
        })
    }

    fn clients(&mut self) -> impl Iterator<Item = &mut Client> {
        self.0.iter_mut().flat_map(|places| places.iter_mut()).map(|(_, place)| &mut place.client)
    }
}

fn topics(subscriptions: &Subscriptions) -> impl Iterator<Item = &String> {
    subscriptions.keys().filter(|topic| *topic != UNCHOSEN)
}

/// The lowest of these positions. One of another epoch than the newest is lower than all: it cannot be compared, and what lies
/// behind it comes again rather than never.
fn lowest_of(
    positions: impl Iterator<Item = PlacedPosition>,
    newest: PlacedPosition,
) -> Option<PlacedPosition> {
    positions.min_by_key(|position| place_order(*position, newest))
}

/// The order in which places are taken, the lowest first.
#[must_use]
pub fn place_order(position: PlacedPosition, newest: PlacedPosition) -> (bool, u64) {
    (position.is_in_place_of(newest), position.position.sequence)
}

#[cfg(test)]
mod tests;
