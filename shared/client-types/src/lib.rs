//! Generates types for clients from a tenant's catalog.
//!
//! With the types, a client's compiler refuses a topic, a filter, a request or a publication that the gateway would refuse,
//! and knows the members of each message. The same catalog always generates the same text. Pure: the crate takes the texts
//! of the files.

mod typescript;

pub use typescript::typescript;
