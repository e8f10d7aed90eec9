//! The dispatcher with real nats-servers: who is meant, what was received, and what is killed in between.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what its tests share"
)]

mod decisions;
mod kills;
mod outages;
mod places;
mod presence;
mod retries;
mod support;
mod timings;
mod wishes;
