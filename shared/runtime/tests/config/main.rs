//! What a configuration may say, and how every mistake in it is told.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod channels;
mod conflicts;
mod issuers;
mod nats;
mod projector_sources;
mod reference;
mod secrets;
mod shards;
mod sources;
mod support;
mod tenants;
mod values;
