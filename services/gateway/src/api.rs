//! What the gateway answers over HTTP: health, the WebSocket endpoint, administration.

mod admin;
mod handshake;
mod router;
mod websocket;

use std::sync::Arc;

use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Method};
use tidings_runtime::config::GatewayConfig;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

pub(crate) use self::handshake::read_query;
pub(crate) use self::router::{Routes, router};
use crate::context::Context;
use crate::error::{ApiCode, ApiError};
use crate::shards::Shards;
use crate::worker::Workers;

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Endpoint {
    context: Arc<Context>,
    stage: watch::Receiver<Stage>,
    /// The tasks that hand connections to workers.
    upgrades: TaskTracker,
}

impl Endpoint {
    pub(crate) fn new(context: Arc<Context>, stage: watch::Receiver<Stage>) -> Self {
        Self { context, stage, upgrades: TaskTracker::new() }
    }

    /// The same, with connections handed to workers by these tasks.
    fn with_upgrades(&self, upgrades: TaskTracker) -> Self {
        Self { upgrades, ..self.clone() }
    }

    pub(crate) fn settings(&self) -> &GatewayConfig {
        &self.context.settings
    }
}

/// What a gateway is doing.
#[derive(Clone)]
pub(crate) enum Stage {
    /// It loads its index; new connections wait.
    Starting,
    /// It serves.
    Open(watch::Receiver<Arc<Shards>>, Workers),
    /// It is ending: it moves its connections to other gateways and refuses new ones.
    Draining,
}

/// The answer where a path is served and a method is not; the header `Allow` names those that are.
async fn method_not_allowed(method: Method) -> ApiError {
    let text = format!("{method} is not served here; the header Allow names what is");
    ApiError::new(ApiCode::MethodNotAllowed, text)
}

/// Whether a body follows the head, be it empty (RFC 9112, section 6.3).
fn has_body(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(CONTENT_LENGTH).iter();
    headers.contains_key(TRANSFER_ENCODING) || lengths.into_iter().any(|length| length.as_bytes() != b"0")
}
