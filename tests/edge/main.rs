//! The edge: TLS, proxies before the gateway, and what it defends itself with.
//!
//! Every test starts its own nats-server, projector and gateway as processes.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers fail a test by panicking")]

mod certificate;
mod memory;
mod proxies;
mod rotation;
mod slow;
mod tls;
