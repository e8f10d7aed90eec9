//! Durable consumers: what was missed while away arrives on return, exactly from where the user stood.
//!
//! Every test starts its own nats-server, projector and gateways as processes. Clients are sockets, so that
//! they can misbehave as real ones do.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers fail a test by panicking"
)]

mod administration;
mod crashes;
mod dial;
mod gaps;
mod generations;
mod jetstream_store;
mod kinds;
mod promised;
mod reach;
mod replaced;
mod returning;
mod site;
mod slow;
mod switching;
mod wire;
