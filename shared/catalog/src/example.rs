//! Examples: an event, or a client publication, with the exact result that it must have.
//!
//! Examples are the machine-checked contract with a tenant's clients.

mod publish;
mod report;

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use tidings_model::{Epoch, Event, EventName, Position, json};
use time::OffsetDateTime;

use crate::catalog::Catalog;
use crate::publish::PublishRefusal;
use crate::rejection::Rejection;

pub use self::publish::{PublishExample, Refused};
pub use self::report::ExampleReport;

/// A file in a tenant's `examples/`.
#[derive(Debug, Clone)]
pub enum Example {
    /// An event of a producer.
    Event(EventExample),
    /// A client publication; the file has a member `publishes`.
    ClientPublish(PublishExample),
}

/// An event and the message that it becomes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventExample {
    /// `<entity>.<action>`.
    pub event: String,
    /// The event's id, if the producer gives one.
    pub id: Option<String>,
    /// The CloudEvents source, if the producer gives one.
    pub source: Option<String>,
    /// The CloudEvents subject, if the producer gives one.
    pub subject: Option<String>,
    /// When the event happened, by the producer.
    pub time: Option<String>,
    /// The event's data.
    pub data: Value,
    /// What clients must receive.
    pub becomes: Becomes,
}

/// The result that an example's event must have.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Becomes {
    /// The addresses, in any order.
    pub to: BTreeSet<String>,
    /// The message, compared by JSON value.
    pub message: Value,
}

impl Example {
    /// Reads the text of an example's file.
    pub fn parse(text: &str) -> Result<Self, ExampleError> {
        let value: Value = json::parse(text.as_bytes()).map_err(ExampleError::Json)?;
        if value.get("publishes").is_some() {
            return serde_json::from_value(value).map(Self::ClientPublish).map_err(ExampleError::SaidJson);
        }
        serde_json::from_value(value).map(Self::Event).map_err(ExampleError::Json)
    }

    /// The event's name, if the example is about a producer's event.
    #[must_use]
    pub fn event(&self) -> Option<&str> {
        match self {
            Self::Event(example) => Some(&example.event),
            Self::ClientPublish(_) => None,
        }
    }

    /// Applies the catalog to the example and compares the result.
    pub fn check(&self, catalog: &Catalog) -> Result<(), ExampleError> {
        match self {
            Self::Event(example) => example.becomes.check(catalog, &example.to_event(catalog)?),
            Self::ClientPublish(example) => example.check(catalog),
        }
    }
}

impl Becomes {
    fn check(&self, catalog: &Catalog, event: &Event) -> Result<(), ExampleError> {
        let rendered = catalog.render(event).map_err(ExampleError::Rejected)?;
        let [(_, rendered)] = rendered.as_slice() else {
            return Err(ExampleError::Count(rendered.len()));
        };
        if rendered.message != self.message {
            return Err(ExampleError::Message { found: rendered.message.to_string() });
        }
        let found: BTreeSet<_> = rendered.addresses.iter().map(ToString::to_string).collect();
        if found != self.to {
            return Err(ExampleError::Addresses { found: Vec::from_iter(found).join(", ") });
        }
        Ok(())
    }
}

impl EventExample {
    fn to_event(&self, catalog: &Catalog) -> Result<Event, ExampleError> {
        let name = EventName::parse(&self.event).ok_or_else(|| ExampleError::Event(self.event.clone()))?;
        Ok(Event {
            id: self.id.clone().unwrap_or_else(|| "example".to_owned()),
            source: self.source.clone(),
            subject: self.subject.clone(),
            time: moment(self.time.as_deref())?,
            ..event(catalog, name, self.data.clone())
        })
    }
}

fn moment(time: Option<&str>) -> Result<Option<String>, ExampleError> {
    let moment = time.map(Event::moment).transpose();
    moment.map_err(|error| ExampleError::Rejected(Rejection::malformed(&error)))
}

fn event(catalog: &Catalog, name: EventName, data: Value) -> Event {
    Event {
        tenant: catalog.tenant().clone(),
        name,
        id: "example".to_owned(),
        source: None,
        subject: None,
        time: None,
        stored_at: OffsetDateTime::UNIX_EPOCH,
        trace_parent: None,
        position: Position { epoch: Epoch(0), sequence: 1 },
        data,
        has_own_id: true,
        publication: None,
        copied_from: None,
        delivery: None,
        scheduled: None,
    }
}

/// A difference between an example and the catalog's result.
#[derive(Debug, thiserror::Error)]
pub enum ExampleError {
    /// The file is not an example.
    #[error("not an example with the members event, data and becomes")]
    Json(#[source] serde_json::Error),
    /// The file is not an example of a client publication.
    #[error("not an example with the members claims, publishes, and either event and becomes, or refused")]
    SaidJson(#[source] serde_json::Error),
    /// The client publication becomes another event.
    #[error("it becomes the event {found}")]
    OtherEvent {
        /// The event that it becomes.
        found: String,
    },
    /// The gateway would refuse the publication.
    #[error("it is refused as {}, at {:?}", .0.reason(), .0.pointer().unwrap_or_default())]
    Refused(#[source] PublishRefusal),
    /// The publication is accepted, but the example expects a refusal.
    #[error("it is not refused")]
    Accepted,
    /// The event's name is not valid.
    #[error("event {0:?} is not of the form entity.action")]
    Event(String),
    /// The projector would reject the event.
    #[error("the event is rejected")]
    Rejected(#[source] Rejection),
    /// The event becomes no message, or more than one.
    #[error("the event becomes {0} messages, expected one")]
    Count(usize),
    /// The event becomes another message.
    #[error("the event becomes another message: {found}")]
    Message {
        /// The message that it becomes.
        found: String,
    },
    /// The message goes to other addresses.
    #[error("the message goes to other addresses: {found}")]
    Addresses {
        /// The addresses that it goes to.
        found: String,
    },
}
