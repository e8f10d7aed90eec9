//! Examples of what clients say: claims and a frame beside the event and message, or the refusal.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidings_model::Event;

use super::{Becomes, ExampleError, event, moment};
use crate::catalog::Catalog;
use crate::publish::{Said, Unsaid};

/// What a client says and what comes of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaidExample {
    /// Of the client's token.
    pub claims: Map<String, Value>,
    /// The client's frame.
    pub says: Map<String, Value>,
    /// When it is said.
    pub time: Option<String>,
    /// The event that it becomes, `<entity>.<action>`.
    pub event: Option<String>,
    /// What clients must receive.
    pub becomes: Option<Becomes>,
    /// Why the client is refused instead.
    pub refused: Option<Refused>,
}

/// Why a client is refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// `unknown-action`, `forbidden`, or the word for why an event is rejected.
    pub reason: String,
    /// Where.
    pub pointer: Option<String>,
}

impl SaidExample {
    pub(super) fn check(&self, catalog: &Catalog) -> Result<(), ExampleError> {
        let said = match (self.say(catalog), &self.refused) {
            (Ok(said), None) => said,
            (Ok(_), Some(_)) => return Err(ExampleError::Accepted),
            (Err(unsaid), Some(refused)) if refused.is(&unsaid) => return Ok(()),
            (Err(unsaid), _) => return Err(ExampleError::Refused(unsaid)),
        };
        let name = said.event.to_string();
        let event = Event { time: moment(self.time.as_deref())?, ..event(catalog, said.event, said.data) };
        match &self.becomes {
            Some(becomes) if self.event.as_ref() == Some(&name) => becomes.check(catalog, &event),
            _ => Err(ExampleError::OtherEvent { found: name }),
        }
    }

    /// As a gateway does: what the token lets the client say, and the projector would take.
    fn say(&self, catalog: &Catalog) -> Result<Said, Unsaid> {
        let verb = self.says.get("action").or_else(|| self.says.get("type")).and_then(Value::as_str);
        let keys = catalog.keys(&self.claims);
        let voice = catalog.voice(&self.claims, &keys);
        let said = catalog.say(verb.unwrap_or_default(), &self.says, &keys, &voice)?;
        let projected = catalog.project(&event(catalog, said.event.clone(), said.data.clone()));
        projected.map_err(|rejection| said.objection(rejection))?;
        Ok(said)
    }
}

impl Refused {
    fn is(&self, unsaid: &Unsaid) -> bool {
        (self.reason.as_str(), self.pointer.as_deref()) == (unsaid.reason(), unsaid.pointer())
    }
}
