//! Lists what a newer catalog adds, so that a change can be judged as a whole. Additions break nobody.

use std::collections::{BTreeMap, BTreeSet};

use super::{CompareError, described, leaves};
use crate::file::{CatalogFile, Files, MessageFile};
use crate::schemas::CATALOG;

/// Returns what the new catalog has and the old one has not, in the order of the new one: grants, topics, messages with their
/// events, destinations, attributes and members, routes and publications.
pub fn additions(old: &Files, new: &Files) -> Result<Vec<String>, CompareError> {
    let text = |files: &Files| files.get(CATALOG).cloned().unwrap_or_default();
    let old: CatalogFile = toml::from_str(&text(old)).map_err(CompareError::Older)?;
    let new: CatalogFile = toml::from_str(&text(new)).map_err(CompareError::Newer)?;
    let mut added = Vec::new();
    let grants = new.grants.iter().filter(|grant| !old.grants.contains(grant));
    added.extend(grants.map(|grant| format!("grants: tokens open {grant:?}")));
    topics(&old, &new, &mut added);
    for message in &new.message {
        let place = format!("message `{}`", message.name);
        match old.message.iter().find(|before| before.name == message.name) {
            None => added.push(format!("{place}: it is new, made of {}", message.events.join(", "))),
            Some(before) => in_message(&place, before, message, &mut added),
        }
    }
    let routes = new.routes.keys().filter(|verb| !old.routes.contains_key(*verb));
    added.extend(routes.map(|verb| format!("routes.{verb}: clients may request it")));
    let publish = new.publish.iter().filter(|rule| !old.publish.iter().any(|before| rule.lets_say(before)));
    added
        .extend(publish.map(|rule| format!("publish `{}`: clients may publish {}", rule.action, rule.event)));
    Ok(added)
}

fn topics(old: &CatalogFile, new: &CatalogFile, added: &mut Vec<String>) {
    for (name, topic) in &new.topics {
        let place = format!("topics.{name}");
        let Some(before) = old.topics.get(name) else {
            added.push(format!("{place}: the topic is new"));
            continue;
        };
        if topic.initial && !before.initial {
            added.push(format!("{place}: devices have it from the start"));
        }
        match (&before.roles, &topic.roles) {
            (Some(_), None) => added.push(format!("{place}: it is open to all users")),
            (Some(before), Some(now)) => {
                let opened: Vec<_> = now.iter().filter(|role| !before.contains(role)).cloned().collect();
                if !opened.is_empty() {
                    added.push(format!("{place}: it is open to role {}", opened.join(", ")));
                }
            }
            (None, _) => {}
        }
    }
}

fn in_message(place: &str, old: &MessageFile, new: &MessageFile, added: &mut Vec<String>) {
    for event in new.events.iter().filter(|event| !old.events.contains(event)) {
        added.push(format!("{place}: event {event} becomes it"));
    }
    let destinations =
        |message: &MessageFile| -> Vec<_> { message.to.as_slice().iter().map(described).collect() };
    let before = destinations(old);
    for to in destinations(new).into_iter().filter(|to| !before.contains(to)) {
        added.push(format!("{place}: it goes to {to}"));
    }
    let names =
        |attributes: &BTreeMap<String, String>| -> BTreeSet<String> { attributes.keys().cloned().collect() };
    for name in names(&new.attributes).difference(&names(&old.attributes)) {
        added.push(format!("{place}: filters may use attribute {name:?}"));
    }
    let before = leaves(&old.body);
    for pointer in leaves(&new.body).into_keys().filter(|pointer| !before.contains_key(pointer)) {
        // A member in place of a whole object was there before.
        let is_within = |leaf: &String| pointer.strip_prefix(leaf).is_some_and(|rest| rest.starts_with('/'));
        if !before.keys().any(is_within) {
            added.push(format!("{place} {pointer}: it is new"));
        }
    }
}
