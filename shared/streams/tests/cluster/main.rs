//! Tests the crate's guarantees on three nats-servers with faults.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, also in what its tests share, and says then what had happened"
)]

mod behind;
mod deduplication;
#[path = "../streams/envelope.rs"]
mod envelope;
mod faults;
mod lab;
mod sources;
mod two_writers;
