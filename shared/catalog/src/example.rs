//! Examples: an event, or what a client publishes, beside exactly what it must become.
//!
//! They are the contract with a tenant's clients in a form that a machine checks.

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

/// One file of a tenant's `examples/`.
#[derive(Debug, Clone)]
pub enum Example {
    /// What a producer publishes.
    Event(EventExample),
    /// What a client publishes: the file has a member `publishes`.
    ClientPublish(PublishExample),
}

/// An event and what it becomes.
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
    /// When the producer says it happened.
    pub time: Option<String>,
    /// The event's data.
    pub data: Value,
    /// What clients must receive.
    pub becomes: Becomes,
}

/// What an example's event must become.
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

    /// The event that a producer publishes, if it is an example of one.
    #[must_use]
    pub fn event(&self) -> Option<&str> {
        match self {
            Self::Event(example) => Some(&example.event),
            Self::ClientPublish(_) => None,
        }
    }

    /// Makes of it what the catalog makes of it, and compares.
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
    }
}

/// How an example differs from what the catalog makes of it.
#[derive(Debug, thiserror::Error)]
pub enum ExampleError {
    /// The file is no example.
    #[error("not an example with the members event, data and becomes")]
    Json(#[source] serde_json::Error),
    /// The file is no example of what a client publishes.
    #[error("not an example with the members claims, publishes, and either event and becomes, or refused")]
    SaidJson(#[source] serde_json::Error),
    /// What the client publishes becomes another event.
    #[error("it becomes the event {found}")]
    OtherEvent {
        /// Which.
        found: String,
    },
    /// The client is refused.
    #[error("it is refused as {}, at {:?}", .0.reason(), .0.pointer().unwrap_or_default())]
    Refused(#[source] PublishRefusal),
    /// The client is not refused.
    #[error("it is not refused")]
    Accepted,
    /// The event's name is none.
    #[error("event {0:?} is not of the form entity.action")]
    Event(String),
    /// The event would be rejected.
    #[error("the event is rejected")]
    Rejected(#[source] Rejection),
    /// The event becomes several messages, or none.
    #[error("the event becomes {0} messages, expected one")]
    Count(usize),
    /// Another message.
    #[error("the event becomes another message: {found}")]
    Message {
        /// What it becomes.
        found: String,
    },
    /// Other addresses.
    #[error("the message goes to other addresses: {found}")]
    Addresses {
        /// Where it goes.
        found: String,
    },
}
