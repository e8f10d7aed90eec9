//! Examples of client publications: claims and a frame, with the event and message, or the refusal.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidings_model::Event;

use super::{Becomes, ExampleError, event, moment};
use crate::catalog::Catalog;
use crate::publish::{ClientPublish, PublishRefusal};

/// A client publication and its result.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishExample {
    /// The claims of the client's token.
    pub claims: Map<String, Value>,
    /// The client's frame.
    pub publishes: Map<String, Value>,
    /// When it is published.
    pub time: Option<String>,
    /// The event that it becomes, `<entity>.<action>`.
    pub event: Option<String>,
    /// What clients must receive.
    pub becomes: Option<Becomes>,
    /// The refusal, if the publication must be refused.
    pub refused: Option<Refused>,
}

/// The refusal of a client publication.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// `unknown-action`, `forbidden`, or the reason of a rejection.
    pub reason: String,
    /// The JSON pointer of the place.
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

    /// Does what a gateway does: checks the token's permissions and whether the projector would accept the event.
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
