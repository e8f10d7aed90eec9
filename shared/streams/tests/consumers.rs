//! Tests the guarantees of both stores of durable consumers against a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]

#[path = "consumers/bench.rs"]
mod bench;
#[path = "consumers/conformance.rs"]
mod conformance;
#[path = "consumers/jetstream.rs"]
mod jetstream;
#[path = "consumers/kv.rs"]
mod kv;
