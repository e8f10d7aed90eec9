//! Tests the crate's guarantees about JetStream on real nats-servers.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what its tests share"
)]

mod batches;
mod deliveries;
mod envelope;
mod follower;
mod leadership;
mod placements;
mod reader;
mod rebuilds;
mod records;
mod schedules;
mod single;
mod support;
mod topology;
mod users;
mod writer;
