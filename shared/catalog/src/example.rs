//! Examples: an event beside exactly what it must become.
//!
//! They are the contract with a tenant's clients in a form that a machine checks.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use tidings_model::{Epoch, Event, EventName, Position};
use time::OffsetDateTime;

use crate::catalog::Catalog;
use crate::rejection::Rejection;

/// One file of a tenant's `examples/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
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
        serde_json::from_str(text).map_err(ExampleError::Json)
    }

    /// Projects the event and compares.
    pub fn check(&self, catalog: &Catalog) -> Result<(), ExampleError> {
        let rendered = catalog.render(&self.to_event(catalog)?).map_err(ExampleError::Rejected)?;
        let [(_, rendered)] = rendered.as_slice() else {
            return Err(ExampleError::Count(rendered.len()));
        };
        if rendered.message != self.becomes.message {
            return Err(ExampleError::Message { found: rendered.message.to_string() });
        }
        let found: BTreeSet<_> = rendered.addresses.iter().map(ToString::to_string).collect();
        if found != self.becomes.to {
            return Err(ExampleError::Addresses { found: Vec::from_iter(found).join(", ") });
        }
        Ok(())
    }

    fn to_event(&self, catalog: &Catalog) -> Result<Event, ExampleError> {
        let name = EventName::parse(&self.event);
        Ok(Event {
            tenant: catalog.tenant().clone(),
            name: name.ok_or_else(|| ExampleError::Event(self.event.clone()))?,
            id: self.id.clone().unwrap_or_else(|| "example".to_owned()),
            source: self.source.clone(),
            subject: self.subject.clone(),
            time: self.time.clone(),
            stored_at: OffsetDateTime::UNIX_EPOCH,
            trace_parent: None,
            position: Position { epoch: Epoch(0), sequence: 1 },
            data: self.data.clone(),
        })
    }
}

/// How an example differs from what the catalog makes of it.
#[derive(Debug, thiserror::Error)]
pub enum ExampleError {
    /// The file is no example.
    #[error("not an example with the members event, data and becomes")]
    Json(#[source] serde_json::Error),
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
