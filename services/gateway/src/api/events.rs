//! Publishing events over HTTP: `POST /api/v1/events` and `POST /api/v1/events/<entity>.<action>`; and cancelling one that is
//! delivered later: `DELETE /api/v1/events/<entity>.<action>/scheduled/<id>`.
//!
//! A request is answered when `EVENTS` has stored its events. `request` reads it, `check` decides as the projector does,
//! `store` stores. While a tenant moves between shards nothing is different: its events lie in `EVENTS`, which has no shards.

mod answer;
mod check;
mod rejection;
mod request;
mod store;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts as _, Path, Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, post};
use serde::Deserialize;
use tidings_net::ClientIp;
use tokio::time::Instant;
use uuid::Uuid;

use self::check::{Bounds, Checked, find_repetitions};
use self::request::cancellation;
pub(crate) use self::request::{Publication, Sender, read};
use super::{Endpoint, Nothing, read_body, read_parameters};
use crate::auth::Producer;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// How many events of a batch are checked before other requests get their turn.
const AT_A_TIME: usize = 32;

pub(super) fn router() -> Router<Endpoint> {
    Router::new()
        .route("/api/v1/events", post(publish))
        .route("/api/v1/events/{name}", post(publish))
        .route("/api/v1/events/{name}/scheduled/{id}", delete(cancel))
}

async fn publish(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let from = ClientIp::of(request.extensions());
    served(&endpoint.context, from, accept(&endpoint, request)).await
}

async fn cancel(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let from = ClientIp::of(request.extensions());
    served(&endpoint.context, from, accept_cancellation(&endpoint, request)).await
}

/// Serves a request. A producer is not kept waiting while nothing can be stored.
async fn served(
    context: &Context,
    from: IpAddr,
    serving: impl Future<Output = Result<Response, ApiError>>,
) -> Response {
    tokio::select! {
        biased;
        error = context.readiness.lost() => error.into_response(),
        response = serving => response.unwrap_or_else(|error| {
            context.audit.refused("publish", &error, from);
            error.into_response()
        }),
    }
}

/// The producer who sends a request, once the gateway serves.
async fn producer(endpoint: &Endpoint, head: &Parts) -> Result<Producer, ApiError> {
    endpoint.when_open(Instant::now() + endpoint.context.settings.handshake_timeout).await?;
    endpoint.context.authenticator.producer(head).await
}

async fn accept(endpoint: &Endpoint, request: Request) -> Result<Response, ApiError> {
    let context = &endpoint.context;
    let (mut head, body) = request.into_parts();
    let producer = producer(endpoint, &head).await?;
    let Nothing {} = read_parameters(&head.uri)?;
    let limits = context.limits.producers(&producer.tenant, &context.settings);
    let path = Path::<String>::from_request_parts(&mut head, &()).await;
    let name = path.ok().map(|Path(name)| name);
    // Until the answer is written.
    let _memory = limits.reserve(content_length(&head.headers)).await?;
    let body = read_body(body, limits.max_request_bytes()).await?;
    let sender =
        Sender { tenant: &producer.tenant, source: producer.rights.source(), now: context.clock.now() };
    let new_id = || Uuid::now_v7().to_string();
    let publication = read(&head.headers, name.as_deref(), body, sender, new_id)?;
    answer(context, &producer, publication).await
}

/// An event that is cancelled is named as it was published; plain JSON has the source that its producer is bound to.
async fn accept_cancellation(endpoint: &Endpoint, request: Request) -> Result<Response, ApiError> {
    let context = &endpoint.context;
    let (mut head, body) = request.into_parts();
    let producer = producer(endpoint, &head).await?;
    let body = read_body(body, 0).await.map(drop);
    body.map_err(|_| ApiError::new(ApiCode::BodyUnexpected, "the request has a body and takes none"))?;
    let Cancelled { source } = read_parameters(&head.uri)?;
    let path = Path::<(String, String)>::from_request_parts(&mut head, &()).await;
    let Path((name, id)) = path.map_err(|error| ApiError::new(ApiCode::Path, error.body_text()))?;
    let source = source.as_deref().or(producer.rights.source());
    let sender = Sender { tenant: &producer.tenant, source, now: context.clock.now() };
    answer(context, &producer, cancellation(&name, &id, sender)?).await
}

/// The query of a cancellation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancelled {
    source: Option<String>,
}

/// Checks and stores.
async fn answer(
    context: &Context,
    producer: &Producer,
    Publication { events, is_batch }: Publication,
) -> Result<Response, ApiError> {
    let limits = context.limits.producers(&producer.tenant, &context.settings);
    limits.publish(&producer.name, events.len())?;
    let bounds =
        Bounds { max_event_bytes: context.max_event_bytes, max_stored_bytes: context.topology.max_event() };
    let catalogs = Arc::clone(&context.catalogs.borrow());
    let mut checked = Vec::with_capacity(events.len());
    for (index, event) in events.into_iter().enumerate() {
        if index % AT_A_TIME == AT_A_TIME - 1 {
            tokio::task::yield_now().await;
        }
        checked.push(event.and_then(|event| Checked::new(event, &producer.rights, &catalogs, bounds)));
    }
    find_repetitions(&mut checked);
    let checked = all_or_none(checked, is_batch)?;
    let earlier = store::find_earlier(context, &checked).await;
    let checked = checked.into_iter().zip(earlier).map(|(checked, earlier)| checked.after(earlier)).collect();
    let checked = all_or_none(checked, is_batch)?;
    answer::answer(&checked, &store::store(context, &checked).await, is_batch)
}

/// Nothing of a batch is stored if one of its events is refused.
fn all_or_none(checked: Vec<Result<Checked, ApiError>>, is_batch: bool) -> Result<Vec<Checked>, ApiError> {
    match answer::refused(&checked, is_batch) {
        Some(refused) => Err(refused),
        None => Ok(checked.into_iter().flatten().collect()),
    }
}

/// The length of a body that says it.
fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
