//! The SDK for Rust microservices that publish events.
//!
//! An event is a fact. The tenant's catalog decides which messages it becomes, and for which addresses. To notify one
//! user, a list of users, a role or all users, publish the event that the catalog has for this.
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
//! `tidings-producer-build` generates types from a catalog, which are better than JSON; see [`include_tenant`]. With
//! them, or with [`Settings::catalog`], an event that the projector would reject is refused at once, with the reason.
//!
//! Guarantees of a [`Producer`]:
//! - An accepted event is stored once and in order, whatever happens to NATS. Otherwise its [`Receipt`], the log and
//!   [`Producer::shutdown`] report that it is not stored. The buffer does not survive the process. If an event must
//!   survive it, keep it in the producer's own database until its receipt is complete.
//! - Once: an event whose answer was lost is stored again, with the same id, and the projector drops the repetition, as
//!   long as no outage is longer than `streams.duplicate_window` (two minutes by default).
//! - In order: within a burst of [`Settings::in_flight`] events, NATS may lose one and store those after it if the
//!   stream's leader changes in these milliseconds. `in_flight(1)` excludes that, at one round trip per event.
//! - Memory is bounded by [`Settings::buffer`] events: a caller with more waits, or gets the event back.
//! - The only permissions needed are to publish `events.<tenant>.*.*` and to subscribe to the producer's own inbox.

pub mod blocking;
pub mod catalog;
pub mod data;
mod drain;
mod entry;
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
