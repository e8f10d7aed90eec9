//! Parses `[categories]`, and in which of them a message is: what users switch on and off.

use std::collections::{BTreeMap, BTreeSet};

use tidings_model::ChannelKind;
use tidings_preferences::{Category, Defaults};

use super::Problems;
use crate::file::CategoryFile;
use crate::message::MessageType;

impl Problems {
    /// Parses the categories, and checks that messages are in them.
    pub(super) fn categories(
        &mut self,
        files: BTreeMap<String, CategoryFile>,
        messages: &[MessageType],
        is_complete: bool,
    ) -> Defaults {
        let mut off = BTreeMap::new();
        for (name, file) in files {
            let place = format!("categories.{name}");
            let channels = file.off.iter().filter_map(|channel| self.take(&place, channel.parse()));
            let channels: BTreeSet<ChannelKind> = channels.collect();
            let Some(category) = self.take(&place, Category::parse(&name)) else { continue };
            // Of a message with a mistake it is not known.
            if is_complete && !messages.iter().any(|message| message.category == category) {
                self.add(&place, "no message is in this category");
            }
            off.insert(category, channels);
        }
        let strange = messages.iter().filter(|message| message.category.as_str() != message.slot);
        for message in strange.filter(|message| !off.contains_key(&message.category)) {
            let text = format!("category {:?} is not under [categories]", message.category.as_str());
            self.add(&format!("message `{}`", message.name), text);
        }
        Defaults { off }
    }

    /// The category of a message: its slot, unless it names another one.
    pub(super) fn category(&mut self, place: &str, name: Option<&str>, slot: &str) -> Option<Category> {
        match name {
            Some(name) => self.take(place, Category::parse(name)),
            // A slot that is no name is reported as such.
            None => Category::parse(slot).ok(),
        }
    }
}
