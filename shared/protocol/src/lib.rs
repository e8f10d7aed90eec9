//! The client protocol: frames, client messages, errors and close codes.
//!
//! This crate is pure: bytes and text in, bytes and text out. It has no I/O and no clock; the caller passes the time
//! in. The gateway decides what a message *does*.

#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests read what they have written"))]

pub mod client;
pub mod close;
pub mod error;
pub mod extensions;
pub mod filter;
pub mod framing;
pub mod server;

pub use filter::Filter;
