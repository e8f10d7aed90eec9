//! The gateway: the edge between the streams of envelopes and the clients.
//!
//! It terminates WebSockets, verifies tokens, and delivers every envelope to the connections whose token grants its
//! address. What it promises: a client receives what its token grants and nothing else; in the order of the stream; each
//! message once per connection; and no client notices when another one is slow, silent or malicious.
//!
//! # The rooms
//!
//! Each uses only those below it; `tests/layout` holds that.
//!
//! ```text
//!   parsers                      what fuzz targets call
//!   gateway                      starts, runs, drains; ends when a worker fails
//!   listening                    the sockets for clients and administrators, and what is served on them
//!   api                          HTTP: health, the WebSocket handshake, administration
//!   shards                       which shard serves which tenant; the one ordered read of each shard's stream
//!   worker                       threads that serve connections; worker/connection is one connection
//!   context                      what all parts use: settings, clock, and the rooms below
//!   consumers                    a write-behind cache of durable consumers
//!   audit                        the log of refusals and administration
//!   auth                         from a token to a user and its grants; disabled users
//!   limits                       rates and numbers of addresses, users, tenants
//!   readiness, clock, figures, error
//! ```
//!
//! Below them are crates, each a concept of its own that knows no gateway:
//!
//! ```text
//!   tidings-net                  listening sockets, TLS, PROXY protocol, forwarded addresses, serving HTTP
//!   tidings-session              pure: what a connection may receive, and what a client's message means
//!   tidings-replica              the local copy of a shard's stream; where a returning consumer resumes
//!   tidings-rate                 rate limits in bounded memory
//! ```
//!
//! # The path of an envelope
//!
//! ```text
//!   stream of a shard (NATS)
//!     │ shards/shard             reads once, in order
//!     ▼
//!   tidings-replica              mailbox (index), hot tail (newest envelopes, framed once), times
//!     │ worker/interest          address → workers that have connections there; no other is woken
//!     │ ShardUpdate              through a worker's bounded queue; a full one holds back the reading
//!     ▼
//!   worker/fan_out               the fan-out; worker/served_shard: address and filter → connections
//!     │ offer
//!     ▼
//!   worker/connection            phase, delivery, send_queue ──► socket
//! ```
//!
//! A connection that does not keep up, or returns, is not live: `worker/replay` reads what it misses from the replica, or
//! from the stream itself where the replica does not reach back, and makes it live in the step in which it has everything.
//!
//! # The path of a client's message
//!
//! ```text
//!   socket ──► worker/inbound    frames, rate limits; which frames count in the connection's phase
//!                │ tidings-session decides: a list of effects
//!                ▼
//!              worker::apply     reply · route · store the subscription and confirm · publish · latest · authenticate
//! ```
//!
//! # The path of an acknowledgement
//!
//! ```text
//!   `ack`, or the Pong of a plain client
//!     ▼
//!   worker/connection/inbound    only ever forward; becomes a position
//!     ▼
//!   consumers                    at most one write a second for each consumer, and one before its last connection ends
//!     ▼
//!   store of consumers (NATS)    from where `shards` resumes the device, at whichever gateway
//! ```
//!
//! # The path of a token
//!
//! ```text
//!   request ──► tidings-net ──► api/websocket ──► auth   place, origin, signature, claims;
//!                                                  │     a local copy of the bucket USERS
//!                                                  ▼
//!                                               Principal: consumer, grants, what it may publish
//! ```
//!
//! A client without WebSockets takes the same path to `api/without_websocket`, whose socket is taken from HTTP; a worker writes events to it
//! where it would write frames (`worker/connection/event_stream`). A request for a page is such a connection, too,
//! and ends with its answer (`worker/connection/page`).
//!
//! A fresh token on a live connection takes the same way from `worker/inbound` on. A worker's tick closes the
//! connections of users that were disabled meanwhile (`worker/closing`).

mod api;
mod audit;
mod auth;
mod claimed_contacts;
mod clock;
mod consumers;
mod context;
mod error;
mod figures;
mod gateway;
mod limits;
mod listening;
pub mod parsers;
mod readiness;
mod shards;
mod worker;

pub use claimed_contacts::ContactClaims;
pub use error::{StartError, WorkerError, error_codes};
pub use gateway::{Gateway, Parts};
pub use listening::{Listening, identity};
pub use tidings_net::{CertificateError, Identity};

/// Every metric of a gateway.
pub fn metrics() -> impl Iterator<Item = &'static tidings_metrics::Metric> {
    figures::METRICS.iter().copied()
}
