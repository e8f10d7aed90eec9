//! Which devices receive what is sent to an address. Pure.

use tidings_model::{Address, Attributes};
use tidings_protocol::filter;
use tidings_streams::consumers::ConsumerState;

/// An envelope, as far as it decides who receives it.
pub struct Addressed<'e> {
    /// Its address.
    pub address: &'e Address,
    /// Its attributes, which filters ask for.
    pub attributes: &'e Attributes,
    /// Its sequence.
    pub sequence: u64,
}

/// Whether a device receives an envelope, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A grant or a subscription opens its address.
    Opens,
    /// The device started behind it.
    Started,
    /// No grant opens its address, which is not that of a topic.
    NotGranted,
    /// The device has not subscribed to its topic.
    NotSubscribed,
    /// The device has subscribed to its topic later.
    Older,
    /// The filter of the subscription leaves it out.
    Filtered,
}

impl Addressed<'_> {
    /// The user, if the address is that of one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.address.id_of("user")
    }

    /// Whether a device of this user receives the envelope: it is no newer than that, and a grant or a subscription opens its
    /// address. `is_in_place` says whether sequences of the device's position and of the envelope are those of one place.
    pub(crate) fn reaches(&self, user: &str, state: &ConsumerState, is_in_place: bool) -> bool {
        self.reach(user, state, is_in_place) == Reach::Opens
    }

    /// Whether a device of this user receives the envelope, or why not. `is_in_place` says whether sequences of the device's
    /// position and of the envelope are those of one place.
    #[must_use]
    pub fn reach(&self, user: &str, state: &ConsumerState, is_in_place: bool) -> Reach {
        if is_in_place && self.sequence <= state.since {
            return Reach::Started;
        }
        if self.user().is_some_and(|addressed| addressed == user) || state.grants.contains(self.address) {
            return Reach::Opens;
        }
        let Some(topic) = self.address.id_of("topic") else { return Reach::NotGranted };
        let Some(subscription) = state.subscriptions.get(topic) else { return Reach::NotSubscribed };
        if is_in_place && self.sequence <= subscription.since {
            Reach::Older
        } else if filter::passes(&subscription.filter, self.attributes) {
            Reach::Opens
        } else {
            Reach::Filtered
        }
    }
}

#[cfg(test)]
mod tests {
    use tidings_model::{Attribute, Grants};
    use tidings_streams::consumers::{Places, Subscription, Subscriptions, TopicFilter};

    use super::*;

    fn device(grants: &[&str], topic: Option<(&str, &str, u64)>) -> ConsumerState {
        let mut subscriptions = Subscriptions::new();
        if let Some((name, squad, since)) = topic {
            let filter = if squad.is_empty() {
                TopicFilter::new()
            } else {
                [("squad".to_owned(), [squad.to_owned()].into())].into()
            };
            subscriptions.insert(name.to_owned(), Subscription { filter, since });
        }
        ConsumerState {
            position: "1-9".parse().unwrap(),
            generation: 0,
            since: 0,
            subscriptions,
            grants: grants.iter().map(|grant| Address::parse(grant).unwrap()).collect::<Grants>(),
            last_seen: 0,
            connected: None,
            resets: 0,
            places: Places::default(),
        }
    }

    #[test]
    fn an_address_means_those_who_hold_it() {
        let attributes: Attributes =
            [("squad".to_owned(), Attribute::new(vec!["a".to_owned(), "b".to_owned()]).unwrap())].into();
        for (address, device, expected) in [
            ("user:ada", device(&[], None), true),
            ("user:bob", device(&["user:ada"], None), false),
            ("role:sre", device(&["role:sre"], None), true),
            ("role:sre", device(&["role:dev"], None), false),
            ("all", device(&["all"], None), true),
            ("topic:news", device(&[], Some(("news", "", 4))), true),
            ("topic:news", device(&[], Some(("news", "", 5))), false),
            ("topic:news", device(&[], Some(("news", "b", 0))), true),
            ("topic:news", device(&[], Some(("news", "c", 0))), false),
            ("topic:other", device(&[], Some(("news", "", 0))), false),
            ("role:news", device(&[], Some(("news", "", 0))), false),
        ] {
            let address = Address::parse(address).unwrap();
            let addressed = Addressed { address: &address, attributes: &attributes, sequence: 5 };
            assert_eq!(addressed.reaches("ada", &device, true), expected, "{address}");
        }
        let address = Address::topic("news").unwrap();
        let none = Addressed { address: &address, attributes: &Attributes::default(), sequence: 5 };
        let filtered = device(&[], Some(("news", "c", 0)));
        assert!(
            none.reaches("ada", &filtered, true),
            "what an envelope lacks does not exclude it, as in gateways"
        );
        let addressed = Addressed { address: &address, attributes: &attributes, sequence: 5 };
        for (since, expected) in [(4, true), (5, false)] {
            let newer = ConsumerState { since, ..device(&[], Some(("news", "", 0))) };
            assert_eq!(addressed.reaches("ada", &newer, true), expected, "started behind {since}");
        }
        let elsewhere = ConsumerState { since: 50, ..device(&[], Some(("news", "", 50))) };
        assert!(addressed.reaches("ada", &elsewhere, false), "sequences of another place say nothing");
    }
}
