//! What can go wrong, and what to do then.

use std::fmt;

use bytes::Bytes;
use tidings_catalog::{CatalogError, Rejection};
use tidings_model::{Tenant, TenantError};
use tidings_streams::OpenWriterError;

use crate::Event;

/// There is no producer.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The tenant's name is none.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The catalog has mistakes.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The catalog is another tenant's.
    #[error("the catalog is that of tenant {found}, not of {expected}")]
    OtherTenant {
        /// Whose it is.
        found: Tenant,
        /// Whose events are published.
        expected: Tenant,
    },
    /// The source cannot be that of an event.
    #[error("source {0:?} is empty, has control characters or is longer than 256 bytes")]
    Source(String),
    /// NATS cannot be reached, or does not let us in.
    #[error(transparent)]
    Nats(#[from] OpenWriterError),
    /// A blocking producer cannot have a thread.
    #[error("cannot start the thread of a blocking producer")]
    Thread(#[source] std::io::Error),
}

/// An event is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Its data cannot be written as JSON.
    #[error("the event's data cannot be written as JSON")]
    Data(#[source] serde_json::Error),
    /// The projector would reject it. Nothing was sent; sending it again is of no use.
    #[error("the event would be rejected")]
    Rejected(#[source] Rejection),
    /// The buffer is full: NATS is away, or slower than this producer.
    #[error("{} events wait to be stored, and there is no room for another", .0.limit)]
    Full(Full),
    /// The producer has been shut down.
    #[error("the producer has been shut down")]
    Closed,
    /// NATS never takes it.
    #[error("event {id} is not stored: {reason}")]
    Refused {
        /// Which.
        id: String,
        /// What NATS says.
        reason: String,
    },
    /// The producer was shut down before it was stored, as far as is known.
    #[error("the producer was shut down before event {id} was known to be stored")]
    NotStored {
        /// Which.
        id: String,
    },
}

/// An event for which there is no room.
#[derive(Debug)]
pub struct Full {
    /// The event.
    pub event: Box<Event>,
    /// How many events there is room for.
    pub limit: usize,
}

/// The end of a producer that did not get rid of everything.
#[derive(Debug, thiserror::Error)]
pub struct Unstored {
    /// What is not known to be stored, in order. Publishing it later with the same ids is safe within
    /// `streams.duplicate_window`.
    pub events: Vec<NotStored>,
}

impl fmt::Display for Unstored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} events are not known to be stored", self.events.len())?;
        let ids: Vec<_> = self.events.iter().take(3).map(|event| event.id.as_str()).collect();
        write!(formatter, "; the first are {}", ids.join(", "))
    }
}

/// An event that is not known to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotStored {
    /// Its id.
    pub id: String,
    /// The subject that it was to be published on.
    pub subject: String,
    /// The structured CloudEvent.
    pub cloud_event: Bytes,
}
