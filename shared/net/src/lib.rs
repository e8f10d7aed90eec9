//! From a listening socket to HTTP requests.
//!
//! A service that faces the Internet binds a [`Listener`] and serves an axum router on it with a [`Server`]. What every
//! such service needs is here, once: TLS with a certificate that is renewed without a restart ([`Identity`]), the PROXY
//! protocol, the client's address behind proxies ([`ClientIp`]), and bounds, so that no client holds a socket, memory or
//! a place that others need ([`PendingLimits`], [`Settings`]).
//!
//! ```text
//!   Listener ──► pending         how many connections wait for a request; which one is displaced
//!                  ▼
//!                acceptor        PROXY header, TLS
//!                  ▼
//!                http_stream     a client that does not read its answers is disconnected
//!                  ▼
//!                server          hyper; each request carries ClientIp and Transport
//!                  ▼
//!                the service's router
//! ```
//!
//! It knows no route, no token and no configuration file: the service says what is answered and which keys it names.

mod acceptor;
mod client_ip;
mod http_stream;
mod listener;
mod pending;
mod problem;
mod proxy_protocol;
mod server;
mod takeover;
mod timed_body;
mod tls;

pub use client_ip::{AddressBlock, ClientIp, TrustedProxies};
pub use http_stream::HttpStream;
pub use listener::{ListenError, Listener};
pub use pending::PendingLimits;
pub use problem::{PROBLEM_JSON, Problem};
pub use proxy_protocol::{HeaderError, read as read_proxy_header};
pub use server::{Server, Settings};
pub use takeover::{ClientStream, Takeover};
pub use timed_body::BodyLate;
pub use tls::{CertificateError, Identity};
