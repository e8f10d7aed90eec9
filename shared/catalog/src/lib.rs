//! Catalogs: which events become which messages, for whom, in which form.
//!
//! A tenant is `schemas/<tenant>/catalog.toml` with the JSON Schemas beside it; the differences
//! between systems are data here and never a branch in code. The crate is pure: it is given the
//! texts of the files, and it turns events into envelopes, claims into grants, requests into lookups
//! and what clients publish into events, always in the same way for the same input. The projector relies on that: an event
//! that is projected again yields the same envelopes in the same order.

mod catalog;
mod compare;
mod destination;
mod example;
mod file;
mod message;
mod parse;
mod project;
mod publish;
mod rejection;
mod schemas;
mod shape;
mod template;

pub use catalog::{Catalog, Catalogs, Route, StartPolicy, Topic};
pub use compare::{Break, CompareError, Who, breaks};
pub use example::{Becomes, EventExample, Example, ExampleError, ExampleReport, PublishExample, Refused};
pub use message::MessageType;
pub use parse::{CatalogError, Files, Problem};
pub use project::{project, read};
pub use publish::{ClientPublish, PublishClaims, PublishRefusal};
pub use rejection::{Reason, Rejection};
pub use schemas::is_catalog_file;
pub use shape::{EventShape, Member, Shape, event_shapes};
