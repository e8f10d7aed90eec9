//! Examples of what clients publish: claims and a frame beside the event and message, or the refusal.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidings_model::Event;

use super::{Becomes, ExampleError, event, moment};
use crate::catalog::Catalog;
use crate::publish::{ClientPublish, PublishRefusal};

/// What a client publishes and what becomes of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishExample {
    /// Of the client's token.
    pub claims: Map<String, Value>,
    /// The client's frame.
    pub publishes: Map<String, Value>,
    /// When it is published.
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

impl PublishExample {
    pub(super) fn check(&self, catalog: &Catalog) -> Result<(), ExampleError> {
        let published = match (self.publish(catalog), &self.refused) {
            (Ok(published), None) => published,
            (Ok(_), Some(_)) => return Err(ExampleError::Accepted),
            (Err(unsaid), Some(refused)) if refused.is(&unsaid) => return Ok(()),
            (Err(unsaid), _) => return Err(ExampleError::Refused(unsaid)),
        };
        let name = published.event.to_string();
        let event =
            Event { time: moment(self.time.as_deref())?, ..event(catalog, published.event, published.data) };
        match &self.becomes {
            Some(becomes) if self.event.as_ref() == Some(&name) => becomes.check(catalog, &event),
            _ => Err(ExampleError::OtherEvent { found: name }),
        }
    }

    /// As a gateway does: what the token permits, and the projector would accept.
    fn publish(&self, catalog: &Catalog) -> Result<ClientPublish, PublishRefusal> {
        let verb =
            self.publishes.get("action").or_else(|| self.publishes.get("type")).and_then(Value::as_str);
        let grants = catalog.grants(&self.claims);
        let voice = catalog.publish_claims(&self.claims, &grants);
        let published = catalog.publish(verb.unwrap_or_default(), &self.publishes, &grants, &voice)?;
        let projected = catalog.project(&event(catalog, published.event.clone(), published.data.clone()));
        projected.map_err(|rejection| published.refusal(rejection))?;
        Ok(published)
    }
}

impl Refused {
    fn is(&self, unsaid: &PublishRefusal) -> bool {
        (self.reason.as_str(), self.pointer.as_deref()) == (unsaid.reason(), unsaid.pointer())
    }
}
