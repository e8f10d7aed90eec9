//! Generates types from a tenant's catalog, in the languages of its clients and producers; and describes its messages.
//!
//! With the types, a client's compiler refuses a topic, a filter, a request or a publication that the gateway would refuse,
//! and a producer's most events that the projector would reject. What types cannot express, the catalog's checks in the same
//! text do, before an event is sent. The same catalog always generates the same text, and no text of a catalog becomes code.
//! Pure: the crate takes the texts of the files.

mod asyncapi;
pub mod json_schema;
mod names;
mod python;
mod rust;
mod typescript;

pub use asyncapi::asyncapi;
pub use python::python_producer;
pub use rust::{RustError, rust_producer};
pub use typescript::{typescript_client, typescript_producer};
