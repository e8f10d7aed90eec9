//! What the cache hears of connections: what their clients have received and subscribed to, and that they have ended.
//!
//! Of clients that share a device, each is heard for its own place, and what the device has received follows from all places
//! (`places`).

use tidings_model::PlacedPosition;
use tidings_streams::consumers::{ConsumerName, Edit, Presence};

use super::ConsumerCache;
use super::places::PlaceId;

impl ConsumerCache {
    /// The client has received everything up to this position.
    pub(crate) fn acknowledge(
        &self,
        (name, place): (&ConsumerName, Option<PlaceId>),
        position: PlacedPosition,
    ) {
        let position = self.position_of(name, place, position);
        self.note(name, position, None);
    }

    /// The client at a place, to which little comes, has received everything up to this position. That is stored with what is
    /// to be stored next.
    pub(crate) fn touch(&self, name: &ConsumerName, place: PlaceId, position: PlacedPosition) {
        self.active.with_places(name, |places| places.acknowledge(place, position));
    }

    /// The position of the device, if it has one client alone that has received everything up to this position. Of one that
    /// shares the device, its place is moved.
    fn position_of(
        &self,
        name: &ConsumerName,
        place: Option<PlaceId>,
        position: PlacedPosition,
    ) -> Option<PlacedPosition> {
        let Some(place) = place else { return Some(position) };
        self.touch(name, place, position);
        None
    }

    /// The consumer is subscribed to a topic, or is no longer.
    pub(crate) fn remember(
        &self,
        (name, place): (&ConsumerName, Option<PlaceId>),
        position: Option<PlacedPosition>,
        topic: String,
        edit: Edit,
    ) {
        let position = position.and_then(|position| self.position_of(name, place, position));
        let edited =
            place.and_then(|place| self.active.with_places(name, |places| places.edit(place, &topic, &edit)));
        let is_stored = edited.unwrap_or(true);
        self.note(name, position, is_stored.then_some((topic, edit)));
    }

    /// A connection has ended, whose client has received everything up to this position, if that is known.
    pub(crate) fn leave(
        &self,
        (name, place): (&ConsumerName, Option<PlaceId>),
        position: Option<PlacedPosition>,
    ) {
        self.end((name, place), position, true);
    }

    /// A connection has ended before its client was served.
    pub(crate) fn give_up(&self, consumer: (&ConsumerName, Option<PlaceId>)) {
        self.end(consumer, None, false);
    }

    fn end(
        &self,
        (name, place): (&ConsumerName, Option<PlaceId>),
        position: Option<PlacedPosition>,
        was_served: bool,
    ) {
        let position = match place {
            None => position,
            Some(place) => {
                self.active.with_places(name, |places| places.leave(place, position, was_served));
                None
            }
        };
        self.active.leave(name, |stored, is_last| {
            // Each acknowledgement was noted as it came.
            let mut change = self.change_of(stored, position);
            change.is_acknowledged = false;
            if is_last {
                change.presence = Presence::Left(self.gateway.to_string());
                self.left.notify_one();
            }
            change
        });
    }
}
