//! What the gateway answers over HTTP: health, the WebSocket endpoint, administration.

mod admin;
mod handshake;
mod query;
mod request;
mod router;
mod stage;
mod subprotocol;
mod upgrade;
mod websocket;

pub(crate) use self::query::HandshakeQuery;
pub(crate) use self::router::{Routes, router};
pub(crate) use self::stage::{Endpoint, Stage};
