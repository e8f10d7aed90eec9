//! A nats-server child process that ends with its parent.
//!
//! `tidings dev` and every test use a real nats-server with JetStream, so there is no second implementation of the
//! streams to maintain. The server is a child process with a folder of its own:
//!
//! ```no_run
//! # async fn example() -> Result<(), tidings_embedded::Error> {
//! use tidings_embedded::{NatsServer, Options};
//!
//! let mut server = NatsServer::start(Options::new("data").config("max_payload: 2MB")).await?;
//! println!("{}", server.url());
//! server.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The crate guarantees:
//! - The child never outlives its [`NatsServer`]; on Linux not even when this process is killed with SIGKILL.
//! - A folder has at most one server: two on the same JetStream store would destroy it.
//! - [`NatsServer::start`] returns a server that answers and serves JetStream, or one error that says what to do.
//! - [`Cluster::start`] returns servers that have found each other and elected a leader for JetStream.

#![expect(clippy::disallowed_methods, reason = "it reads only from servers that it starts")]

mod binary;
mod cluster;
mod error;
mod options;
mod process;
mod server;

pub use binary::{Binary, MINIMUM_VERSION, Places, Version};
pub use cluster::{Cluster, ClusterOptions};
pub use error::Error;
pub use options::Options;
pub use process::{Process, signal_child};
pub use server::NatsServer;
