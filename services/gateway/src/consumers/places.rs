//! The places of clients that share a device because they name none. Pure.
//!
//! A phone and a laptop that name no device are one device to the gateway. What one of them has received is not thereby received
//! by the other: each has a place of its own while it is open, and the device's position is that of the client that has
//! received least. A client that leaves while another one is open leaves its place behind; the next that comes takes the
//! lowest of them. When all have left, the lowest place is the device's position.
//!
//! There are never more places than clients were open at once, since each that comes takes one that was left; and there are at
//! most [`MOST`] of them. A program that opens more connections without a device has none for the others: what any of these
//! receives counts for the device.

use std::num::NonZeroU8;

use tidings_model::PlacedPosition;
use tidings_streams::consumers::{Edit, UNCHOSEN};

/// One of the clients that share a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlaceId(NonZeroU8);

/// The most clients of one device that have places: more than a user has devices and tabs.
const MOST: u8 = 64;

/// The places of a device's clients.
#[derive(Debug, Default)]
pub(super) struct Places {
    open: Vec<Place>,
    /// Left behind while another client was open.
    left: Vec<PlacedPosition>,
}

#[derive(Debug)]
struct Place {
    id: PlaceId,
    /// Up to where the client has received everything.
    position: PlacedPosition,
    /// The topics that it is subscribed to.
    topics: Vec<String>,
    /// The place that was left behind and that it has taken.
    taken: Option<PlacedPosition>,
}

impl Places {
    /// A client comes that begins at this position with the device's topics. `None` if too many have places.
    pub(super) fn arrive(&mut self, position: PlacedPosition, topics: Vec<String>) -> Option<PlaceId> {
        let mut ids = (1..=MOST).filter_map(NonZeroU8::new).map(PlaceId);
        let id = ids.find(|id| self.open.iter().all(|place| place.id != *id))?;
        let lowest = lowest_of(self.left.iter().copied(), position);
        let taken = lowest.and_then(|lowest| self.left.iter().position(|left| *left == lowest));
        let taken = taken.map(|index| self.left.swap_remove(index));
        // Whichever of them chooses its topics has chosen for the device.
        let topics = topics.into_iter().filter(|topic| topic != UNCHOSEN).collect();
        self.open.push(Place { id, position, topics, taken });
        Some(id)
    }

    /// The client has received everything up to this position.
    pub(super) fn acknowledge(&mut self, id: PlaceId, position: PlacedPosition) {
        if let Some(place) = self.open.iter_mut().find(|place| place.id == id) {
            place.position = position;
        }
    }

    /// The position of the device, in the place of the newest that is known. `None` while a client's is in another one.
    pub(super) fn position(&self, newest: PlacedPosition) -> Option<PlacedPosition> {
        let all = self.open.iter().map(|place| place.position).chain(self.left.iter().copied());
        lowest_of(all, newest).filter(|lowest| lowest.is_in_place_of(newest))
    }

    /// The client leaves. One that was never served leaves nothing behind but the place that it had taken.
    pub(super) fn leave(&mut self, id: PlaceId, was_served: bool) {
        let place = self.remove(id);
        self.left.extend(place.and_then(|place| if was_served { Some(place.position) } else { place.taken }));
    }

    fn remove(&mut self, id: PlaceId) -> Option<Place> {
        let index = self.open.iter().position(|place| place.id == id)?;
        Some(self.open.swap_remove(index))
    }

    /// Whether no client is open any more.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
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

/// The lowest of these positions. One of another epoch than the newest is lower than all: it cannot be compared, and what lies
/// behind it comes again rather than never.
fn lowest_of(
    positions: impl Iterator<Item = PlacedPosition>,
    newest: PlacedPosition,
) -> Option<PlacedPosition> {
    positions.min_by_key(|position| (position.is_in_place_of(newest), position.position.sequence))
}

#[cfg(test)]
mod tests {
    use tidings_model::{Epoch, Position};
    use tidings_streams::consumers::{Subscription, TopicFilter};

    use super::*;

    impl Places {
        fn comes(&mut self, position: PlacedPosition, topics: &[&str]) -> PlaceId {
            let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
            self.arrive(position, topics).unwrap()
        }
    }

    #[test]
    fn so_many_clients_have_places_and_no_more() {
        let mut places = Places::default();
        let ids: Vec<_> = (0..MOST).map(|_| places.comes(at(1), &[])).collect();
        assert_eq!(places.arrive(at(1), Vec::new()), None);
        places.leave(ids[7], true);
        assert_eq!(places.arrive(at(1), Vec::new()), Some(ids[7]));
    }

    fn at(sequence: u64) -> PlacedPosition {
        PlacedPosition { generation: 1, position: Position { epoch: Epoch(1), sequence } }
    }

    fn moved(sequence: u64) -> PlacedPosition {
        PlacedPosition { generation: 2, position: Position { epoch: Epoch(2), sequence } }
    }

    #[test]
    fn the_device_stands_where_the_client_does_that_has_received_least() {
        let mut places = Places::default();
        let desktop = places.comes(at(10), &[]);
        places.acknowledge(desktop, at(15));
        assert_eq!(places.position(at(15)), Some(at(15)));
        let phone = places.comes(at(15), &[]);
        places.acknowledge(desktop, at(20));
        assert_eq!(places.position(at(20)), Some(at(15)), "the phone has not received it");
        places.leave(phone, true);
        places.acknowledge(desktop, at(30));
        assert_eq!(places.position(at(30)), Some(at(15)), "the phone is away");
        let phone = places.comes(at(15), &[]);
        places.acknowledge(phone, at(30));
        assert_eq!(places.position(at(30)), Some(at(30)), "it is back, and has everything");
        places.leave(desktop, true);
        places.leave(phone, true);
        assert!(places.is_empty());
        assert_eq!(places.position(at(30)), Some(at(30)));
    }

    #[test]
    fn a_client_that_was_never_served_leaves_nothing_behind() {
        let mut places = Places::default();
        let (open, other) = (places.comes(at(1), &[]), places.comes(at(1), &[]));
        places.leave(other, false);
        places.acknowledge(open, at(9));
        assert_eq!(places.position(at(9)), Some(at(9)));
        let other = places.comes(at(9), &[]);
        places.leave(other, true);
        let again = places.comes(at(9), &[]);
        places.acknowledge(open, at(12));
        places.leave(again, false);
        assert_eq!(places.position(at(12)), Some(at(9)), "the place that it had taken is left again");
    }

    #[test]
    fn a_place_of_another_epoch_holds_the_device_until_its_client_is_back() {
        let mut places = Places::default();
        let (open, other) = (places.comes(at(5), &[]), places.comes(at(5), &[]));
        places.leave(other, true);
        places.acknowledge(open, moved(2));
        assert_eq!(places.position(moved(2)), None);
        let other = places.comes(moved(1), &[]);
        assert_eq!(places.position(moved(2)), Some(moved(1)));
        places.reset(moved(7));
        assert_eq!(places.position(moved(7)), Some(moved(7)));
        places.leave(other, true);
        places.reset(moved(0));
        places.acknowledge(open, moved(8));
        assert_eq!(places.position(moved(8)), Some(moved(8)), "nothing is left from before");
    }

    #[test]
    fn a_topic_stays_stored_while_a_client_is_subscribed() {
        let subscribe = Edit::Subscribe(Subscription { filter: TopicFilter::default(), since: 0 });
        let mut places = Places::default();
        let one = places.comes(at(1), &["a"]);
        let other = places.comes(at(1), &["a"]);
        assert!(!places.edit(one, "a", &Edit::Unsubscribe), "the other tab wants it");
        assert!(places.edit(other, "a", &Edit::Unsubscribe));
        assert!(places.edit(one, "b", &subscribe));
        assert!(places.edit(one, "b", &Edit::Unsubscribe), "the other tab never wanted it");
    }

    #[test]
    fn one_client_chooses_topics_for_the_device() {
        let mut places = Places::default();
        let one = places.comes(at(1), &[UNCHOSEN, "a"]);
        places.comes(at(1), &[UNCHOSEN, "a"]);
        assert!(places.edit(one, UNCHOSEN, &Edit::Unsubscribe), "else what it subscribes to now is not kept");
        assert!(!places.edit(one, "a", &Edit::Unsubscribe), "the other one has it from the start");
    }
}
