//! Messages that take the place of others: `replaces` and `retracts`.
//!
//! A message that may be replaced has a `key`, and so has, by `replaces` or `retracts`, the one that replaces it; both have
//! the same slot. That is what class `latest` is: the newest message of a key takes the place of those before, in the stream, in
//! what gateways keep, and in a rebuild. So here all messages of such a slot become `latest`, and nothing else knows of it.

use std::collections::HashSet;

use super::Problems;
use crate::file::MessageFile;

impl MessageFile {
    /// The slot: messages of one slot replace each other.
    pub(crate) fn slot(&self) -> &str {
        self.slot.as_ref().unwrap_or(&self.name)
    }

    /// The template of the key of the messages that it replaces or retracts, if it does.
    pub(crate) fn replaced(&self) -> Option<&String> {
        self.replaces.as_ref().or(self.retracts.as_ref())
    }
}

impl Problems {
    /// Checks what messages replace, and makes all messages of such a slot `latest`.
    pub(super) fn replacements(&mut self, messages: &mut [MessageFile]) {
        let replaced = messages.iter().filter(|message| message.replaced().is_some());
        let replaced: HashSet<_> = replaced.map(|message| message.slot().to_owned()).collect();
        let originals = messages.iter().filter(|message| message.replaced().is_none());
        let originals: HashSet<_> = originals.map(|message| message.slot().to_owned()).collect();
        for message in messages {
            let place = format!("message `{}`", message.name);
            let slot = message.slot().to_owned();
            let kept = matches!(message.class.as_deref(), None | Some("durable" | "latest"));
            if let Some(key) = message.replaced().cloned() {
                self.replacement(&place, message, originals.contains(&slot));
                (message.key, message.max_rate) = (Some(key), None);
            } else if !replaced.contains(&slot) {
                continue;
            } else if message.key.is_none() {
                self.add(
                    &place,
                    format!("it has no `key` by which the messages that replace it in slot `{slot}` find it"),
                );
                message.key = Some(String::new());
            }
            if kept {
                message.class = Some("latest".to_owned());
            } else {
                self.add(&place, "only messages that are kept for absent users are replaced or retracted");
            }
        }
    }

    fn replacement(&mut self, place: &str, message: &MessageFile, has_original: bool) {
        if message.replaces.is_some() && message.retracts.is_some() {
            self.add(place, "`replaces` and `retracts` are both there, expected one of them");
        }
        if message.key.is_some() {
            self.add(place, "`key` is there, too: `replaces` and `retracts` say the key");
        }
        if message.max_rate.is_some() {
            self.add(place, "what replaces or retracts a message has no `max_rate`: it must not come late");
        }
        if !has_original {
            let text = format!(
                "no other message has the slot `{}`; `slot` names the message that this one replaces or retracts",
                message.slot()
            );
            self.add(place, text);
        }
    }
}
