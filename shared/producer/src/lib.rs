//! The SDK for Rust microservices that publish events.
//!
//! An event says what happened, and its tenant's catalog decides which messages it becomes, for whom: to tell one
//! user, a list of them, a role or everybody is to publish the event that the catalog has for it.
//!
//! ```no_run
//! use tidings_producer::{Event, Producer, Settings};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let producer = Producer::connect("ops", Settings::new("nats://127.0.0.1:4222", "/metrics")).await?;
//! let data = serde_json::json!({ "metric_name": "queue_depth", "value": 7 });
//! let stored = producer.publish(Event::new("metric.updated", data)).await?;
//! println!("{} is event {}", stored.id, stored.sequence);
//! # Ok(())
//! # }
//! ```
//!
//! Better than JSON are the types that `tidings-producer-build` makes from a catalog, see [`include_tenant`]. With
//! them, or with [`Settings::catalog`], an event that the projector would reject is refused at once, with the reason.
//!
//! What a [`Producer`] promises:
//! - An event that was taken is stored, counts once, and in the order in which events were taken, whatever happens to NATS
//!   meanwhile; or its [`Receipt`], the log and [`Producer::shutdown`] say that it was not. It does not outlive the
//!   process: what must, belongs into the producer's own database until its receipt has come.
//! - Once: an event whose answer was lost is stored again, with the same id, and the projector drops the repetition, as
//!   long as no outage is longer than `streams.duplicate_window`, two minutes unless configured otherwise.
//! - In order: within a burst of [`Settings::in_flight`] events, NATS may lose one and store those behind it if
//!   the stream's leader changes in these milliseconds. `in_flight(1)` rules that out, at one round trip per event.
//! - It takes no more memory than [`Settings::buffer`] events: who has more waits, or is given the event back.
//! - It asks for no more than permission to publish `events.<tenant>.*.*` and to subscribe to its own inbox.

pub mod blocking;
pub mod catalog;
pub mod data;
mod drain;
mod error;
mod event;
mod producer;
mod queue;
mod settings;

pub use async_nats::ConnectOptions;
pub use error::{ConnectError, Full, NotStored, PublishError, Unstored};
pub use event::Event;
pub use producer::Producer;
pub use queue::{Receipt, Stored};
pub use settings::Settings;
pub use tidings_catalog::{Reason, Rejection};

/// Brings in the module that `tidings_producer_build::generate` made in the build script for a tenant:
/// `include_tenant!("ops");` is a module `ops` with a `Producer` and a struct for each event.
#[macro_export]
macro_rules! include_tenant {
    ($tenant:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $tenant, ".rs"));
    };
}
