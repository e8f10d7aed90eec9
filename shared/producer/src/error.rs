//! Errors of producers.

use std::fmt;

use bytes::Bytes;
use tidings_catalog::{CatalogError, Rejection};
use tidings_model::{Tenant, TenantError};
use tidings_streams::OpenWriterError;

use crate::Event;

/// Why a producer cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The tenant's name is not valid.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The catalog has mistakes.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The catalog belongs to another tenant.
    #[error("the catalog is that of tenant {found}, not of {expected}")]
    OtherTenant {
        /// The tenant of the catalog.
        found: Tenant,
        /// The tenant of the producer.
        expected: Tenant,
    },
    /// The source is not valid in an event.
    #[error("source {0:?} is empty, has control characters or is longer than 256 bytes")]
    Source(String),
    /// NATS cannot be reached or refuses the login.
    #[error(transparent)]
    Nats(#[from] OpenWriterError),
    /// The thread of a blocking producer cannot be started.
    #[error("cannot start the thread of a blocking producer")]
    Thread(#[source] std::io::Error),
}

/// Why an event is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The event's data cannot be written as JSON.
    #[error("the event's data cannot be written as JSON")]
    Data(#[source] serde_json::Error),
    /// The projector would reject the event. Nothing was sent; sending it again has the same result.
    #[error("the event would be rejected")]
    Rejected(#[source] Rejection),
    /// The buffer is full: NATS is not reachable, or slower than this producer.
    #[error("{} events wait to be stored, and there is no room for another", .0.limit)]
    Full(Full),
    /// The producer has been shut down.
    #[error("the producer has been shut down")]
    Closed,
    /// NATS refuses the event permanently.
    #[error("event {id} is not stored: {reason}")]
    Refused {
        /// The event's id.
        id: String,
        /// The reason that NATS gives.
        reason: String,
    },
    /// The producer was shut down before the event's result was known.
    #[error("the producer was shut down before event {id} was known to be stored")]
    NotStored {
        /// The event's id.
        id: String,
    },
}

/// An event that did not fit into the buffer.
#[derive(Debug)]
pub struct Full {
    /// The event.
    pub event: Box<Event>,
    /// The size of the buffer, in events.
    pub limit: usize,
}

/// The result of a shutdown that left events without a known result.
#[derive(Debug, thiserror::Error)]
pub struct Unstored {
    /// The events without a known result, in order. Publishing them later with the same ids is safe within
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

/// An event without a known result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotStored {
    /// The event's id.
    pub id: String,
    /// The subject for the event.
    pub subject: String,
    /// The structured CloudEvent.
    pub cloud_event: Bytes,
}
