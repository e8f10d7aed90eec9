//! What the crate promises on three nats-servers, while they fail.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, also in what its tests share, and says then what had happened"
)]

mod faults;
mod lab;
mod two_writers;
