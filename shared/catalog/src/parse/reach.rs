//! Checks that some token or subscription opens each address. An address that none opens is misspelled.

use std::collections::BTreeMap;

use tidings_model::Address;

use super::Problems;
use crate::catalog::Topic;
use crate::destination::{AddressTemplate, GrantRule};
use crate::message::MessageType;

impl Problems {
    /// Checks that a token's claims or a subscription open every destination.
    pub(super) fn check_destinations(
        &mut self,
        messages: &[MessageType],
        grants: &[GrantRule],
        topics: &BTreeMap<String, Topic>,
    ) {
        let topics: Vec<_> = topics.values().map(|topic| AddressTemplate::of(&topic.address)).collect();
        for message in messages {
            for address in message.to.iter().map(|to| &to.address) {
                let is_open = grants.iter().any(|grant| grant.may_open(address));
                let is_topic = topics.iter().any(|topic| topic.may_be(address));
                // Another check reports topics that are missing under [topics].
                if !is_open && !is_topic && address.literal_topic().is_none() {
                    self.add(
                        &format!("message `{}`", message.name),
                        format!(
                            "no token opens its destination {:?}: {}",
                            address.to_string(),
                            opened(grants)
                        ),
                    );
                }
            }
        }
    }

    /// Checks that some token opens each of these roles.
    pub(super) fn check_roles(&mut self, place: &str, roles: &[Address], grants: &[GrantRule]) {
        for role in roles {
            let address = AddressTemplate::of(role);
            if !grants.iter().any(|grant| grant.may_open(&address)) {
                self.add(place, format!("no token opens {:?}: {}", role.as_str(), opened(grants)));
            }
        }
    }
}

fn opened(grants: &[GrantRule]) -> String {
    if grants.is_empty() {
        return "`grants` is empty".to_owned();
    }
    let grants: Vec<_> = grants.iter().map(ToString::to_string).collect();
    format!("`grants` open {}", grants.join(", "))
}
