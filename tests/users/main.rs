//! Looking after users: who is switched off, whose tokens are revoked, who is connected, and the log of all that.
//!
//! Every test starts its own nats-server, projector and gateways as processes.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers fail a test by panicking"
)]

mod administration;
mod audit;
mod barred;
mod connections;
mod contacts;
mod outages;
mod preferences;
mod purges;
mod site;
