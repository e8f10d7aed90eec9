//! What travels on a client connection: frames, client messages, errors and close codes.
//!
//! Everything here is pure: bytes and text in, bytes and text out. No I/O and no clock; whoever
//! sends a message passes the time in. What a message *does* is decided by the gateway.

#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests read what they have written"))]

pub mod client;
pub mod close;
pub mod error;
pub mod extensions;
mod filter;
pub mod framing;
pub mod server;
mod timestamp;

pub use filter::Filter;
pub use timestamp::rfc3339;
