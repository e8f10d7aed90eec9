//! What the gateway answers over HTTP: health, the WebSocket endpoint, publishing events, administration.

mod admin;
mod contacts_error;
mod cors;
mod descriptions;
mod events;
mod handshake;
mod members;
mod openapi;
mod preferences;
mod push;
mod refusal;
mod router;
mod unsubscribe;
mod websocket;
mod without_websocket;

use std::error::Error as _;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Query;
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Method, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidings_net::BodyLate;
use tidings_runtime::config::GatewayConfig;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

pub(crate) use self::events::{Publication, Sender, read as read_publication};
pub(crate) use self::handshake::{Since, read_query};
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
    /// Bounds how many connections are being refused by a Close.
    refusals: Arc<Semaphore>,
}

/// Connections that are being refused by a Close. Beyond, clients see the status alone.
const REFUSALS: usize = 1024;

impl Endpoint {
    pub(crate) fn new(context: Arc<Context>, stage: watch::Receiver<Stage>) -> Self {
        let refusals = Arc::new(Semaphore::new(REFUSALS));
        Self { context, stage, upgrades: TaskTracker::new(), refusals }
    }

    /// The same, with connections handed to workers by these tasks.
    fn with_upgrades(&self, upgrades: TaskTracker) -> Self {
        Self { upgrades, ..self.clone() }
    }

    pub(crate) fn settings(&self) -> &GatewayConfig {
        &self.context.settings
    }

    /// Waits while the gateway is starting, but not longer than the deadline.
    async fn when_open(
        &self,
        deadline: Instant,
    ) -> Result<(watch::Receiver<Arc<Shards>>, Workers), ApiError> {
        let mut stage = self.stage.clone();
        let decided = stage.wait_for(|stage| !matches!(stage, Stage::Starting));
        let stage = match timeout_at(deadline, decided).await {
            Ok(Ok(stage)) => stage.clone(),
            Ok(Err(_)) => Stage::Draining,
            Err(_) => Stage::Starting,
        };
        match stage {
            Stage::Open(shards, workers) => Ok((shards, workers)),
            Stage::Starting => {
                Err(ApiError::new(ApiCode::Starting, "the gateway is not ready yet; try again"))
            }
            Stage::Draining => {
                Err(ApiError::new(ApiCode::Draining, "the gateway is shutting down; connect again"))
            }
        }
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

/// Reads the query's parameters. Others than those that are read are refused: an ignored one would seem to have an effect.
fn read_parameters<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    let read = Query::try_from_uri(uri);
    let Query(parameters) = read.map_err(|error| {
        let cause = error.source().map_or_else(|| error.body_text(), ToString::to_string);
        ApiError::new(ApiCode::Parameter, format!("the query is not understood: {cause}"))
    })?;
    Ok(parameters)
}

/// No parameters, or no members of a body.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Whether a body follows the head, be it empty (RFC 9112, section 6.3).
fn has_body(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(CONTENT_LENGTH).iter();
    headers.contains_key(TRANSFER_ENCODING) || lengths.into_iter().any(|length| length.as_bytes() != b"0")
}

/// Reads a body of at most so many bytes.
async fn read_body(body: Body, most: usize) -> Result<Bytes, ApiError> {
    to_bytes(body, most).await.map_err(|error| {
        let mut cause = error.source();
        while let Some(error) = cause {
            if error.is::<BodyLate>() {
                return ApiError::new(ApiCode::BodyLate, error.to_string());
            }
            cause = error.source();
        }
        let text = format!("the body has more than {most} bytes, or ended early");
        ApiError::new(ApiCode::BodyTooLarge, text)
    })
}
