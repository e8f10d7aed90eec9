//! The places of clients that share a device because they name none, as far as they are connected to this gateway. Pure.
//!
//! A phone and a laptop that name no device are one device to Tidings, and each has a place of its own, which says how far it
//! has received. The places of all gateways are in the consumer's record (`tidings_streams::consumers::Places`), which says what
//! follows from them. Here is what this gateway says about them: which are open, and which were left or taken since it was
//! last said.
//!
//! At most [`MOST`] clients of a device have places at one gateway. A program that opens more connections without a device has
//! none for the others: what any of these receives counts for the device.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;

use tidings_model::PlacedPosition;
use tidings_streams::consumers::{Edit, OpenPlace, PlaceName, PlacesChange, UNCHOSEN, place_order};

/// One of the clients that share a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlaceId(NonZeroU8);

/// The most clients of one device that have places: more than a user has devices and tabs.
const MOST: u8 = 64;

/// The places of a device's clients.
#[derive(Debug, Default)]
pub(super) struct Places {
    open: Vec<Place>,
    /// Left behind, since that was last said.
    left: BTreeMap<PlaceName, PlacedPosition>,
    /// Taken, since that was last said.
    taken: BTreeSet<PlaceName>,
}

#[derive(Debug)]
struct Place {
    id: PlaceId,
    name: PlaceName,
    /// Up to where the client has received everything.
    position: PlacedPosition,
    /// The topics that it is subscribed to.
    topics: Vec<String>,
    /// The place that was left behind and that it has taken.
    taken: Option<Box<(PlaceName, PlacedPosition)>>,
}

/// A client that has come.
#[derive(Debug)]
pub(super) struct Newcomer {
    /// The name of its place.
    pub(super) name: PlaceName,
    /// The topics of the device.
    pub(super) topics: Vec<String>,
    /// Places of clients at gateways that have ended, and those left behind. It takes the lowest; the others are left behind.
    pub(super) abandoned: Vec<(PlaceName, PlacedPosition)>,
}

impl Places {
    /// A client comes, and begins at this position. `None` if too many have places.
    pub(super) fn arrive(&mut self, position: PlacedPosition, newcomer: Newcomer) -> Option<PlaceId> {
        let Newcomer { name, topics, abandoned } = newcomer;
        let mut ids = (1..=MOST).filter_map(NonZeroU8::new).map(PlaceId);
        let id = ids.find(|id| self.open.iter().all(|place| place.id != *id))?;
        let mut abandoned: Vec<_> =
            abandoned.into_iter().filter(|(name, _)| !self.taken.contains(name)).collect();
        let newest = abandoned.iter().fold(position, |newest, (_, position)| newest.further(*position));
        abandoned.sort_by_key(|(_, position)| std::cmp::Reverse(place_order(*position, newest)));
        let taken = abandoned.pop().map(Box::new);
        if let Some(taken) = &taken {
            self.left.remove(&taken.0);
            self.taken.insert(taken.0.clone());
        }
        self.left.extend(abandoned);
        // Whichever of them chooses its topics has chosen for the device.
        let topics = topics.into_iter().filter(|topic| topic != UNCHOSEN).collect();
        // Most devices have one client, in memory all the time.
        self.open.reserve_exact(1);
        self.open.push(Place { id, name, position, topics, taken });
        Some(id)
    }

    /// Whether the place of this name is open here.
    pub(super) fn has(&self, name: &PlaceName) -> bool {
        self.open.iter().any(|place| place.name == *name)
    }

    /// The client has received everything up to this position.
    pub(super) fn acknowledge(&mut self, id: PlaceId, position: PlacedPosition) {
        if let Some(place) = self.open.iter_mut().find(|place| place.id == id) {
            place.position = position;
        }
    }

    /// The client leaves, and has received everything up to this position, if that is known: in another epoch there may be a gap
    /// of which it does not know yet. One that was never served leaves nothing behind but the place that it had taken.
    pub(super) fn leave(&mut self, id: PlaceId, position: Option<PlacedPosition>, was_served: bool) {
        let Some(index) = self.open.iter().position(|place| place.id == id) else { return };
        let place = self.open.swap_remove(index);
        let position = position.filter(|position| position.is_in_place_of(place.position));
        let left = if was_served {
            Some((place.name, position.unwrap_or(place.position)))
        } else {
            // As if it had never come.
            place.taken.map(|taken| *taken).inspect(|(name, _)| _ = self.taken.remove(name))
        };
        self.left.extend(left);
    }

    /// What is to be said of the places now.
    pub(super) fn change(&mut self) -> PlacesChange {
        let open = self.open.iter().map(|place| {
            let Place { position, topics, .. } = place;
            (place.name.clone(), OpenPlace { position: *position, topics: topics.clone() })
        });
        PlacesChange {
            open: open.collect(),
            left: std::mem::take(&mut self.left),
            taken: std::mem::take(&mut self.taken),
        }
    }

    /// The client changes a subscription. `false` if that is not to be stored, since another client is subscribed.
    pub(super) fn edit(&mut self, id: PlaceId, topic: &str, edit: &Edit) -> bool {
        if let Some(place) = self.open.iter_mut().find(|place| place.id == id) {
            place.topics.retain(|known| known != topic);
            if matches!(edit, Edit::Subscribe(_)) {
                place.topics.push(topic.to_owned());
            }
        }
        matches!(edit, Edit::Subscribe(_))
            || !self.open.iter().any(|place| place.topics.iter().any(|known| known == topic))
    }

    /// The device was moved to this position.
    pub(super) fn reset(&mut self, position: PlacedPosition) {
        self.left.clear();
        self.open.iter_mut().for_each(|place| place.position = position);
    }
}

#[cfg(test)]
mod tests;
