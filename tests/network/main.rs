//! The edge: TLS, proxies before the gateway, and what it takes from clients, however many they are and whatever they do.
//!
//! Every test starts its own nats-server, projector and gateway as processes.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers fail a test by panicking"
)]

mod access_log;
mod age;
mod attempts;
mod certificate;
mod connections;
mod drain;
mod handshakes;
mod memory;
mod messages;
mod proxies;
mod raw;
mod requests;
mod rotation;
mod slow;
mod tls;
mod upgrades;
mod workers;
