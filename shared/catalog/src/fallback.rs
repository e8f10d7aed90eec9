//! Fallbacks: by which channels a message goes to a user none of whose devices has received it by then.
//!
//! The templates are filled from the message as clients receive it, and not from its event. So a channel carries nothing that
//! the message does not have, whatever was done to its texts was done for channels, too, and a fallback needs nothing but the
//! envelope, however late it is due. In `html`, inserted text is escaped; in `subject`, it is on one line.

use std::time::Duration;

use serde_json::{Map, Value};
use tidings_model::{ChannelKind, Content};

use crate::template::{Template, TextTemplate, Unresolved};

/// What makes a fallback unnecessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unless {
    /// A device of the user has received the message.
    Received,
    /// A device of the user has received the message, or is connected.
    Connected,
}

/// One fallback of a message.
#[derive(Debug, Clone)]
pub struct Fallback {
    pub(crate) channel: ChannelKind,
    pub(crate) after: Duration,
    pub(crate) unless: Unless,
    pub(crate) subject: Option<TextTemplate>,
    pub(crate) text: Option<TextTemplate>,
    pub(crate) html: Option<TextTemplate>,
    pub(crate) payload: Option<Template>,
}

impl Fallback {
    /// The channel.
    #[must_use]
    pub fn channel(&self) -> ChannelKind {
        self.channel
    }

    /// How long after the message was stored it is due.
    #[must_use]
    pub fn after(&self) -> Duration {
        self.after
    }

    /// What makes it unnecessary.
    #[must_use]
    pub fn unless(&self) -> Unless {
        self.unless
    }

    /// Fills the templates from the message as clients receive it. The error says which value is missing.
    pub fn content(&self, message: &Value) -> Result<Content, String> {
        let Value::Object(members) = message else { return Err("the message is no JSON object".to_owned()) };
        let missing = |unresolved: Unresolved| format!("{} at {}", unresolved.what, unresolved.path);
        let fill = |template: &TextTemplate| template.prose(members).map_err(missing);
        let fill_escaped =
            |template: &TextTemplate| template.prose(&escaped_members(members)).map_err(missing);
        let payload = match &self.payload {
            Some(template) => Some(template.render(members).map_err(missing)?.unwrap_or_default()),
            // A program reads the whole message; people read what is written for them.
            None => (self.channel == ChannelKind::Webhook).then(|| message.clone()),
        };
        Ok(Content {
            subject: self.subject.as_ref().map(fill).transpose()?.map(|subject| on_one_line(&subject)),
            text: self.text.as_ref().map(fill).transpose()?,
            html: self.html.as_ref().map(fill_escaped).transpose()?,
            payload,
        })
    }
}

fn on_one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// The members with all of their texts escaped for HTML.
fn escaped_members(members: &Map<String, Value>) -> Map<String, Value> {
    members.iter().map(|(name, value)| (name.clone(), escaped(value))).collect()
}

fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(escaped_text(text)),
        Value::Array(elements) => elements.iter().map(escaped).collect(),
        Value::Object(members) => Value::Object(escaped_members(members)),
        other => other.clone(),
    }
}

fn escaped_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
