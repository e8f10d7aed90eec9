//! Whether anybody can receive what the catalog makes: an address that no token opens is a misspelled one.

use std::collections::BTreeMap;

use tidings_model::Address;

use super::Problems;
use crate::catalog::Topic;
use crate::destination::{AddressTemplate, KeyRule};
use crate::message::MessageType;

impl Problems {
    /// Every destination is opened by some token's claims, or by a subscription.
    pub(super) fn check_destinations(
        &mut self,
        messages: &[MessageType],
        keys: &[KeyRule],
        topics: &BTreeMap<String, Topic>,
    ) {
        let topics: Vec<_> = topics.values().map(|topic| AddressTemplate::of(&topic.address)).collect();
        for message in messages {
            for address in message.to.iter().map(|to| &to.address) {
                let is_open = keys.iter().any(|key| key.may_open(address));
                let is_topic = topics.iter().any(|topic| topic.may_be(address));
                // A topic that is missing under [topics] is named by another check.
                if !is_open && !is_topic && address.literal_topic().is_none() {
                    self.add(
                        &format!("message `{}`", message.name),
                        format!("no token opens its destination {:?}: {}", address.to_string(), opened(keys)),
                    );
                }
            }
        }
    }

    /// Roles that may do something are those of some token.
    pub(super) fn check_roles(&mut self, place: &str, roles: &[Address], keys: &[KeyRule]) {
        for role in roles {
            let address = AddressTemplate::of(role);
            if !keys.iter().any(|key| key.may_open(&address)) {
                self.add(place, format!("no token opens {:?}: {}", role.as_str(), opened(keys)));
            }
        }
    }
}

fn opened(keys: &[KeyRule]) -> String {
    if keys.is_empty() {
        return "`keys` is empty".to_owned();
    }
    let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
    format!("`keys` open {}", keys.join(", "))
}
