//! A nats-server child process that ends with its parent.
//!
//! `tidings dev` and every test run against a real nats-server with JetStream, so that there is no second
//! implementation of the streams to keep true. The server is a child process on a folder of its own:
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
//! What the crate keeps true:
//! - The child never outlives its [`NatsServer`]; on Linux not even when this process is killed with SIGKILL.
//! - A folder has at most one server: two on the same JetStream store would destroy it.
//! - [`NatsServer::start`] returns a server that answers and serves JetStream, or one error that says what to do.
//! - [`Cluster::start`] returns servers that have found each other and elected a leader for JetStream.

#![expect(clippy::disallowed_methods, reason = "what is read is from the servers that are started here")]

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
pub use process::Process;
pub use server::NatsServer;
