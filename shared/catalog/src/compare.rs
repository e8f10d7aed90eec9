//! Compares two versions of a catalog and lists the breaking changes. Pure.
//!
//! Clients break when a message loses a member, when a member changes its type, or when the message no longer reaches
//! them. Producers break when an event that became a message is now rejected. Additions are backward compatible:
//! clients ignore messages, members and enumeration values that they do not know.

mod additions;
pub(crate) mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::file::{CatalogFile, DestinationFile, Files, MessageFile, PublishFile};
use crate::schemas::{CATALOG, Schemas};
use crate::template::escaped;

pub use additions::additions;

/// A breaking change: it worked with the old catalog and does not work with the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// Where: a topic, a route, or a message and the JSON pointer of a member.
    pub place: String,
    /// What changed.
    pub text: String,
    /// Which side breaks.
    pub who: Who,
}

/// The side that a change breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Clients, which receive messages.
    Clients,
    /// Producers, which publish events.
    Producers,
}

impl fmt::Display for Break {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.who {
            Who::Clients => "clients",
            Who::Producers => "producers",
        };
        write!(formatter, "breaks {who}: {}: {}", self.place, self.text)
    }
}

/// Returns all breaking changes, in the order of the old catalog. Both arguments are the files of a tenant's folder.
/// The new catalog must already have been parsed without problems.
pub fn breaks(old: &Files, new: &Files) -> Result<Vec<Break>, CompareError> {
    let read = |files: &Files| {
        let text = files.get(CATALOG).map(String::as_str).unwrap_or_default();
        toml::from_str::<CatalogFile>(text)
    };
    let old_catalog = read(old).map_err(CompareError::Older)?;
    let new_catalog = read(new).map_err(CompareError::Newer)?;
    let (old, new) = (Schemas::new(old), Schemas::new(new));
    let mut comparison = Comparison { old, new, breaks: Vec::new() };
    comparison.access(&old_catalog, &new_catalog);
    comparison.messages(&old_catalog.message, &new_catalog.message);
    comparison.unknown_members(&old_catalog, &new_catalog);
    Ok(comparison.breaks)
}

/// Why two catalogs cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The old catalog was written by another version of Tidings.
    #[error("the running catalog has a form that this version does not read")]
    Older(#[source] toml::de::Error),
    /// The new catalog has mistakes.
    #[error("the new catalog has mistakes")]
    Newer(#[source] toml::de::Error),
}

impl CatalogFile {
    fn drops_unknown(&self, message: &MessageFile) -> bool {
        message.unknown.as_ref().or(self.unknown.as_ref()).is_some_and(|unknown| unknown == "drop")
    }
}

impl PublishFile {
    /// Returns whether every frame that the older rule accepts becomes the same event by this rule.
    fn lets_say(&self, older: &Self) -> bool {
        let is_open = self.roles.as_ref().is_none_or(|now| {
            older.roles.as_ref().is_some_and(|before| before.iter().all(|role| now.contains(role)))
        });
        let holds = self.conditions.iter().all(|(path, text)| older.conditions.get(path) == Some(text));
        let is_same = (&self.action, &self.event, &self.data) == (&older.action, &older.event, &older.data);
        is_same && is_open && holds && (self.kind.is_none() || self.kind == older.kind)
    }
}

struct Comparison {
    old: Schemas,
    new: Schemas,
    breaks: Vec<Break>,
}

impl Comparison {
    fn add(&mut self, who: Who, place: impl Into<String>, text: impl Into<String>) {
        self.breaks.push(Break { place: place.into(), text: text.into(), who });
    }

    /// Compares what clients may receive, request and publish.
    fn access(&mut self, old: &CatalogFile, new: &CatalogFile) {
        for grant in old.grants.iter().filter(|grant| !new.grants.contains(grant)) {
            self.add(Who::Clients, "grants", format!("tokens no longer open {grant:?}"));
        }
        for (name, topic) in &old.topics {
            let place = format!("topics.{name}");
            let Some(now) = new.topics.get(name) else {
                self.add(Who::Clients, place, "the topic was removed");
                continue;
            };
            if topic.initial && !now.initial {
                let text = "it is no longer initial: clients that never subscribe do not receive it";
                self.add(Who::Clients, place.clone(), text);
            }
            let lost = match (&topic.roles, &now.roles) {
                (_, None) => None,
                (None, Some(_)) => Some("users without one of the listed roles".to_owned()),
                (Some(before), Some(now)) => {
                    let lost: Vec<_> = before.iter().filter(|role| !now.contains(role)).cloned().collect();
                    (!lost.is_empty()).then(|| format!("role {}", lost.join(", ")))
                }
            };
            if let Some(lost) = lost {
                self.add(Who::Clients, place, format!("it is closed to {lost}"));
            }
        }
        for (verb, route) in &old.routes {
            let same = new
                .routes
                .get(verb)
                .is_some_and(|now| (&now.message, &now.key) == (&route.message, &route.key));
            if !same {
                self.add(Who::Clients, format!("routes.{verb}"), "it was removed or answers something else");
            }
        }
        if old.digest.as_ref().map(|digest| &digest.body) != new.digest.as_ref().map(|digest| &digest.body) {
            self.add(Who::Clients, "digest", "several messages come in another form than before");
        }
        for rule in old.publish.iter().filter(|rule| !new.publish.iter().any(|now| now.lets_say(rule))) {
            let text = "what clients could publish with it is now refused or becomes something else";
            self.add(Who::Clients, format!("publish `{}`", rule.action), text);
        }
    }

    fn messages(&mut self, old: &[MessageFile], new: &[MessageFile]) {
        for message in old {
            let place = format!("message `{}`", message.name);
            match new.iter().find(|now| now.name == message.name) {
                None => self.add(Who::Clients, place, "the message was removed"),
                Some(now) => self.message(&place, message, now),
            }
        }
        let events = |messages: &[MessageFile]| -> BTreeSet<String> {
            messages.iter().flat_map(|message| message.events.clone()).collect()
        };
        for event in events(old).difference(&events(new)) {
            self.add(
                Who::Producers,
                format!("event {event}"),
                "it no longer becomes a message and is rejected",
            );
        }
    }

    fn message(&mut self, place: &str, old: &MessageFile, new: &MessageFile) {
        for event in old.events.iter().filter(|event| !new.events.contains(event)) {
            self.add(Who::Clients, place, format!("event {event} no longer becomes it"));
        }
        self.destinations(place, old, new);
        let class = |message: &MessageFile| message.class.clone().unwrap_or_else(|| "durable".to_owned());
        let kept = |class: &str| ["ephemeral", "latest", "durable"].iter().position(|known| *known == class);
        if kept(&class(new)) < kept(&class(old)) {
            let text =
                format!("class {:?} keeps less for disconnected devices than {:?}", class(new), class(old));
            self.add(Who::Clients, place, text);
        }
        let place_of = |message: &'_ MessageFile| {
            let key = message.key.as_ref().or(message.replaced()).cloned();
            (message.slot().to_owned(), key)
        };
        let is_latest = class(old) == "latest" || old.replaced().is_some();
        if is_latest && place_of(old) != place_of(new) {
            self.add(
                Who::Clients,
                place,
                "`slot` or `key` changed: requests no longer find the newest message, nor do those that replace it",
            );
        }
        for (name, template) in &old.attributes {
            if new.attributes.get(name) != Some(template) {
                let text = format!("attribute {name:?}, which filters use, was removed or has another value");
                self.add(Who::Clients, place, text);
            }
        }
        self.body(place, &old.body, &new.body);
        self.schema(place, old, new);
    }

    /// Finds messages that lose the members which their schemas do not describe.
    fn unknown_members(&mut self, old: &CatalogFile, new: &CatalogFile) {
        for message in old.message.iter().filter(|message| !old.drops_unknown(message)) {
            let mut now = new.message.iter().filter(|now| now.name == message.name);
            if now.any(|now| new.drops_unknown(now)) {
                let text = "members that its schema does not describe are removed now";
                self.add(Who::Clients, format!("message `{}`", message.name), text);
            }
        }
    }

    fn destinations(&mut self, place: &str, old: &MessageFile, new: &MessageFile) {
        let all =
            |message: &MessageFile| -> Vec<String> { message.to.as_slice().iter().map(described).collect() };
        let now = all(new);
        for gone in all(old).into_iter().filter(|destination| !now.contains(destination)) {
            self.add(Who::Clients, place, format!("it no longer goes to {gone}"));
        }
    }

    /// Finds members that the template has lost, regardless of the schema.
    fn body(&mut self, place: &str, old: &toml::Value, new: &toml::Value) {
        let (old, new) = (leaves(old), leaves(new));
        for (pointer, template) in &old {
            let place = format!("{place} {pointer}");
            // A template for the whole object may still contain the member.
            let within = |leaf: &str| pointer.strip_prefix(leaf).is_some_and(|rest| rest.starts_with('/'));
            // `data` is always present. The schema checks its members.
            let optional = |template: &str| template.ends_with("?}") && template != "{data.*?}";
            match new.get(pointer) {
                Some(now) if optional(now) && !optional(template) => {
                    self.add(Who::Clients, place, "it may be missing now");
                }
                None if !new.keys().any(|leaf| within(leaf)) => {
                    self.add(Who::Clients, place, "it was removed");
                }
                _ => {}
            }
        }
    }

    fn schema(&mut self, place: &str, old: &MessageFile, new: &MessageFile) {
        if let (Some(before), Some(now)) = (self.old.whole(&old.schema), self.new.whole(&new.schema)) {
            // Members that the body lost are already reported.
            let said: BTreeSet<_> = self.breaks.iter().map(|known| known.place.clone()).collect();
            for Break { place: pointer, text, who } in schema::breaks(&before, &now) {
                let place = format!("{place} {pointer}");
                if !said.contains(&place) {
                    self.add(who, place, text);
                }
            }
        }
    }
}

fn described(destination: &DestinationFile) -> String {
    match destination {
        DestinationFile::Address(address) => address.clone(),
        DestinationFile::Conditional(conditional) => {
            format!("{} when {}", conditional.address, toml::Value::Table(conditional.when.clone()))
        }
    }
}

/// Returns the leaf templates of a body by their JSON pointers.
fn leaves(body: &toml::Value) -> BTreeMap<String, String> {
    fn walk(value: &toml::Value, pointer: &str, leaves: &mut BTreeMap<String, String>) {
        match value {
            toml::Value::Table(members) => {
                for (name, member) in members {
                    walk(member, &format!("{pointer}/{}", escaped(name)), leaves);
                }
            }
            leaf => drop(leaves.insert(pointer.to_owned(), leaf.as_str().unwrap_or_default().to_owned())),
        }
    }
    let mut found = BTreeMap::new();
    walk(body, "", &mut found);
    found
}

#[cfg(test)]
mod tests;
