//! Digests: what came for one connection within a time as one message, which is a list of messages.
//!
//! A catalog says what a digest looks like. The gateway puts finished messages into it, so all that surrounds them is
//! prepared here as text.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::template::{Step, Template};

/// The placeholder for the list.
const MESSAGES: &str = "messages";

/// What the list is found by in the rendered message. No JSON text contains it but where it is inserted: control
/// characters are escaped in it.
const MARK: &str = "\u{1}messages\u{1}";

/// What a tenant's digests look like, and how long messages are collected for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    every: Duration,
    front: String,
    back: String,
}

impl Digest {
    /// Parses the body of digests. The list stands in place of its only placeholder, `{messages}`.
    pub(crate) fn new(every: Duration, body: &Value) -> Result<Self, String> {
        let template = Template::parse(body).map_err(|error| error.to_string())?;
        let places = template.paths();
        let is_list = matches!(
            places.as_slice(),
            [path] if path.root() == MESSAGES && path.steps().is_empty() && !path.is_optional()
        );
        if !template.is_object() || !is_list || !has_whole_list(&template) {
            return Err("`body` is a table in which one member, or one element, is \"{messages}\"".to_owned());
        }
        let scope: Map<String, Value> = [(MESSAGES.to_owned(), Value::from(MARK))].into_iter().collect();
        let rendered = template.render(&scope).map_err(|unresolved| unresolved.path.to_string())?;
        let text = rendered.unwrap_or_default().to_string();
        let mark = Value::from(MARK).to_string();
        match text.split(&mark).collect::<Vec<_>>().as_slice() {
            [front, back] => Ok(Self { every, front: format!("{front}["), back: format!("]{back}") }),
            _ => Err(format!("`body` contains {mark}, which stands for the list itself")),
        }
    }

    /// How long messages are collected.
    #[must_use]
    pub fn every(&self) -> Duration {
        self.every
    }

    /// The length of a digest of so many messages with so many bytes in all.
    #[must_use]
    pub fn length(&self, count: usize, bytes: usize) -> usize {
        self.front.len() + self.back.len() + bytes + count.saturating_sub(1)
    }

    /// Joins messages to a digest, in their order.
    pub fn join(&self, messages: &[impl AsRef<[u8]>]) -> Vec<u8> {
        let bytes = messages.iter().map(|message| message.as_ref().len()).sum();
        let mut joined = Vec::with_capacity(self.length(messages.len(), bytes));
        joined.extend_from_slice(self.front.as_bytes());
        for (index, message) in messages.iter().enumerate() {
            if index > 0 {
                joined.push(b',');
            }
            joined.extend_from_slice(message.as_ref());
        }
        joined.extend_from_slice(self.back.as_bytes());
        joined
    }
}

/// Whether the placeholder is a value of its own and no part of a text.
fn has_whole_list(template: &Template) -> bool {
    match template {
        Template::Place(path) => !path.steps().contains(&Step::Words),
        Template::Literal(_) | Template::Text(_) => false,
        Template::Object(members) => members.iter().any(|(_, member)| has_whole_list(member)),
        Template::Array(elements) => elements.iter().any(has_whole_list),
    }
}
