//! What the tests share: nats-servers, the `tidings` command, WebSocket clients, tokens, identity providers and bounded
//! waiting.
//!
//! Nothing here sleeps for a time in the hope that something has happened by then: everything waits for a condition, has
//! a bound, and panics with what it saw last. Silence is proven by what comes next.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the harness fails a test by panicking"
)]
#![allow(clippy::missing_panics_doc, reason = "every function here panics when the test has failed")]

mod authority;
mod client;
mod command;
mod flaky_proxy;
mod issuer;
mod nats;
mod node;
mod old_server;
mod ports;
mod program;
mod python;
mod receivers;
mod replica;
mod system;
mod token;
mod transport;
mod wait;

pub use authority::Authority;
pub use client::{Client, Dial, Refusal};
pub use command::{Finished, Launch, Tidings, binary};
pub use flaky_proxy::FlakyProxy;
pub use issuer::{Answer, KeyServer, SigningKey};
pub use nats::{Nats, Saved, nats, nats_with};
pub use node::node_modules;
pub use old_server::old_server;
pub use ports::free_port;
pub use program::{program, program_or_package};
pub use python::python_packages;
pub use receivers::{Received, Receiver};
pub use replica::{BEHIND, FRESH, fresh_leader, replica_behind};
pub use system::{Gateway, Rejected, SCHEMAS, SECRET, Setup, System, UNLIMITED};
pub use tidings_embedded::signal_child;
pub use token::token;
pub use transport::{Stream, Transport};
pub use wait::{BOUND, eventually, within};
