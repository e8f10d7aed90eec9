//! The gateway: the edge between the envelopes and the clients.
//!
//! It terminates WebSockets, takes a token for the keys that its claims open, and streams every
//! envelope to the connections that hold the key of its address. What it promises: a client hears
//! what its keys open and nothing else; in the order of the stream; each message once per
//! connection; and nobody else notices when a client is slow, silent or malicious.
//!
//! The way of an envelope: `follow` reads the stream once, in order, puts each envelope into what is
//! `retained`, and tells every `shard`. A shard looks the address up in its directory and writes to the
//! connections. The way of a client: it comes in by `accept` and its `entrance`, `http` answers it,
//! `handshake` decides about it, a shard serves it, and its `session` says what its messages mean.

#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests read what they have written"))]

mod api;
mod audit;
mod auth;
mod client_ip;
mod clock;
mod consumers;
mod context;
mod error;
mod gateway;
mod http_stream;
mod limits;
mod net;
mod readiness;
mod replica;
mod session;
mod shards;
mod worker;

pub use error::{StartError, WorkerError, error_codes};
pub use gateway::{Gateway, Parts};
pub use net::{CertificateError, Identity, Listening};
