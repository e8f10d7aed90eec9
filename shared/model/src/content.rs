//! What a channel sends: the templates of a catalog, rendered. Each channel takes the members that it can carry.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a channel sends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    /// The subject of an e-mail, the title of a notification.
    pub subject: Option<String>,
    /// Plain text.
    pub text: Option<String>,
    /// HTML, for e-mail.
    pub html: Option<String>,
    /// JSON for programs.
    pub payload: Option<Value>,
}

impl Content {
    /// Returns what a program receives: the payload, else an object with `subject` and `text`.
    ///
    /// The same content is always the same text, so that a repeated attempt has the same body.
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        if let Some(payload) = &self.payload {
            return Some(payload.to_string());
        }
        let members = [("subject", &self.subject), ("text", &self.text)].into_iter();
        let members = members.filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into())));
        let members: Map<String, Value> = members.collect();
        (!members.is_empty()).then(|| Value::Object(members).to_string())
    }
}
