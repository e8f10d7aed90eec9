//! A client of a gateway: it hands each message to the application once, in order, across reconnects and restarts.
//!
//! ```no_run
//! use tidings_client::{Client, Happening, Settings};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::new("ws://127.0.0.1:8080/api/ws", "a token").device("worker-1").topic("incidents");
//! let mut client = Client::new(settings)?;
//! loop {
//!     if let Happening::Message(message) = client.next().await? {
//!         println!("{}", message.body);
//!     }
//! }
//! # }
//! ```
//!
//! The application asks for what happens next. By that it says that it has handled what came before: its position is kept in
//! the [`Store`], then acknowledged, and each connection begins behind it. So a message comes again only if the process dies
//! between the end of its handling and the storing, which is the next thing that happens.
//!
//! - `message` reads what a gateway sends; pure.
//! - `requests` has a future for each answer that the application asks for.
//! - `outbox` keeps what is to be sent until it is answered, and in its order; pure.
//! - `backoff` says how long to wait after a failure; pure.
//! - `client` is the state machine, and the only one that moves it is the application that calls [`Client::next`]: what it
//!   does not ask for is not read, so that the socket bounds what waits.
//! - `dial` opens connections, and tells failures that pass from those that last.

mod backoff;
mod client;
mod dial;
mod error;
mod message;
mod outbox;
mod requests;
mod settings;
mod store;

pub use backoff::Reconnect;
pub use client::{Client, Happening, Message};
pub use error::{ClientError, RequestError};
pub use requests::Requests;
pub use settings::{Settings, TokenError};
pub use store::{FileStore, MemoryStore, Store};
