//! Finds what a valid catalog says in vain: it can be loaded, but part of it has no effect, so something is misspelled.

use crate::catalog::Catalog;
use crate::destination::AddressTemplate;
use crate::parse::Problem;

impl Catalog {
    /// Returns what has no effect: attributes of messages that go to no topic, since only subscriptions to topics have
    /// filters, and topics to which no message goes.
    #[must_use]
    pub fn without_effect(&self) -> Vec<Problem> {
        let topics: Vec<_> = self.topics.values().map(|topic| AddressTemplate::of(&topic.address)).collect();
        let mut found = Vec::new();
        for message in &self.messages {
            let reaches = |topic: &AddressTemplate| message.to.iter().any(|to| to.address.may_be(topic));
            if !message.attributes.is_empty() && !topics.iter().any(reaches) {
                let names: Vec<_> = message.attributes.keys().map(String::as_str).collect();
                let text = format!(
                    "no filter can use its attributes {}: it goes to no topic, and only subscriptions have filters",
                    names.join(", ")
                );
                found.push(Problem { place: format!("message `{}`", message.name), text });
            }
        }
        for (name, topic) in self.topics.keys().zip(&topics) {
            if !self.messages.iter().any(|message| message.to.iter().any(|to| to.address.may_be(topic))) {
                let text =
                    "no message goes to this topic: a client that subscribes receives nothing".to_owned();
                found.push(Problem { place: format!("topics.{name}"), text });
            }
        }
        found
    }
}
