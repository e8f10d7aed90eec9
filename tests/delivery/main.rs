//! The main job, end to end: what is published to NATS reaches the right clients, and nobody else.
//!
//! Every test starts its own nats-server, projector and gateway as processes, publishes with a plain NATS client and
//! listens with plain WebSocket clients.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers fail a test by panicking")]

mod bad_events;
mod bad_frames;
mod browser;
mod catalogs;
mod channels;
mod cluster;
mod command;
mod connecting;
mod conversation;
mod digests;
mod dispatching;
mod event_stream;
mod explaining;
mod handshake;
mod heartbeat;
mod help;
mod kitchen;
mod listening;
mod names;
mod pages;
mod publishing;
mod rejected;
mod sending;
mod shards;
mod sharing;
mod sixth_tenant;
mod sources;
mod start;
mod systems;
mod terminal;
mod types;
