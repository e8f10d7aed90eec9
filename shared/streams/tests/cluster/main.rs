//! What the crate promises on three nats-servers, while they fail.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what its tests share"
)]

mod faults;
mod lab;
mod two_writers;
