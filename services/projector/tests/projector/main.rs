//! The projector against real nats-servers: order, exactly once, rejections, and what faults do to them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what its tests share"
)]

mod expiry;
mod faults;
mod kills;
mod order;
mod outages;
mod rate;
mod rejections;
mod standby;
mod support;
