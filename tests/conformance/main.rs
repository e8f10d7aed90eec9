//! The socket layer against RFC 6455 and RFC 7692, end to end: with tungstenite and with the package `ws` of npm as
//! clients, and frame by frame for what no library sends; and the code in the documents.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers fail a test by panicking")]

mod closing;
mod compression;
mod limits;
mod messages;
mod obedience;
mod page;
mod python;
mod raw;
mod violations;
mod ws;
