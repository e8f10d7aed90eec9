//! A tenant's catalog: which events become which messages, for which addresses, in which form.
//!
//! A catalog is `schemas/<tenant>/catalog.toml` with the JSON Schemas beside it. Differences between tenants are data
//! in catalogs, never branches in code.
//!
//! The crate is pure. It takes the texts of the files. It turns events into envelopes, claims into grants, requests
//! into lookups, and client publications into events. The same input always gives the same output. The projector relies
//! on this: an event that is projected again yields the same envelopes in the same order.

mod catalog;
mod checks;
mod compare;
mod destination;
mod digest;
mod example;
mod fallback;
mod file;
mod gap;
mod message;
mod parse;
mod project;
mod publish;
mod rejection;
mod review;
mod sanitize;
mod schemas;
mod shape;
mod template;

pub use catalog::{Catalog, Catalogs, Route, StartPolicy, Topic};
pub use checks::checks;
pub use compare::{Break, CompareError, Who, additions, breaks};
pub use digest::Digest;
pub use example::{Becomes, EventExample, Example, ExampleError, ExampleReport, PublishExample, Refused};
pub use fallback::{Fallback, Unless};
pub use file::Files;
pub use gap::ToldGap;
pub use message::MessageType;
pub use parse::{CatalogError, Problem};
pub use project::{project, read};
pub use publish::{ClientPublish, PublishClaims, PublishRefusal};
pub use rejection::{Reason, Rejection};
pub use sanitize::TextRule;
pub use schemas::is_catalog_file;
pub use shape::{
    Addressee, ClientShapes, EventShape, Member, MessageShape, PublicationShape, RouteShape, Shape,
    client_shapes, event_shapes,
};
