//! What the gateway answers over HTTP.

pub(crate) mod admin;
pub(crate) mod query;
pub(crate) mod request;
pub(crate) mod respond;
pub(crate) mod subprotocol;
pub(crate) mod upgrade;
pub(crate) mod websocket;
