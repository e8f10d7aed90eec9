//! The projector with real nats-servers: order, exactly once, rejections, and faults.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
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
mod places;
mod process;
mod producer;
mod rate;
mod rebuilds;
mod rejections;
mod repetitions;
mod rollbacks;
mod scheduled;
mod shards;
mod sources;
mod standby;
mod support;
