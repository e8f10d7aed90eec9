//! The HTTP interface for those who look after a tenant's users: consumers and purges.
//!
//! The tenant is the token's, so nobody reaches into another's; the token needs the scope
//! `tidings:admin`. Every change goes into the audit log.
//!
//! | request | what |
//! | --- | --- |
//! | `GET consumers[?user=]` | all consumers, a JSON object per line |
//! | `GET consumers/{user}/{device}` | one consumer |
//! | `POST consumers/{user}/{device}/reset` with `{"to":…}` | moves it to `new`, `all`, a sequence or a position |
//! | `DELETE consumers/{user}/{device}` | removes it |
//! | `DELETE users/{user}` | removes the user's envelopes and consumers |
//! | `GET users/{user}` | how it stands with a user |
//! | `POST users/{user}/disable`, `/enable`, `/revoke` with `{"reason":…}`, if at all | switches a user off or on, revokes the tokens issued so far |
//! | `GET connections[?user=]` | who is connected to any gateway, a JSON object per line |
//! | `DELETE connections/{id}`, `connections?user=` | closes a connection, or all of a user |

mod connections;
mod users;

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use axum::{BoxError, Json, Router};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::json;
use tidings_model::{Address, Tenant};
use tidings_streams::consumers::{ConsumerName, report};
use tidings_streams::purge_address;

use crate::accept::Peer;
use crate::answers::{deny, refuse, unavailable};
use crate::audit::{self, Administrator};
use crate::handshake;
use crate::shared::Shared;

const JSON_LINES: (HeaderName, &str) = (CONTENT_TYPE, "application/x-ndjson");

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/consumers", get(list))
        .route("/consumers/{user}/{device}", get(show).delete(remove))
        .route("/consumers/{user}/{device}/reset", post(reset))
        .route("/users/{user}", delete(purge))
        .merge(users::router())
        .merge(connections::router())
        .with_state(shared)
}

impl FromRequestParts<Arc<Shared>> for Administrator {
    type Rejection = Response;

    async fn from_request_parts(request: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        handshake::administrator(shared, request).await.map_err(|denied| {
            shared.audit.refused(&denied.at("administration", Peer::of(&request.extensions)));
            deny(&denied)
        })
    }
}

#[derive(Deserialize)]
struct Selection {
    user: Option<String>,
}

async fn list(
    State(shared): State<Arc<Shared>>,
    by: Administrator,
    Query(Selection { user }): Query<Selection>,
) -> Response {
    let found = shared.positions.store().list(&by.tenant, user.as_deref());
    let topology = shared.topology.clone();
    let lines = found.then(move |consumer| {
        let topology = topology.clone();
        async move {
            let line = async {
                let (name, stored) = consumer?;
                Ok::<_, BoxError>(serde_json::to_string(&report(&topology, &name, &stored).await?)?)
            };
            // The status has been sent by now, so a fault becomes a line of its own.
            let line = line.await.unwrap_or_else(|error| {
                tracing::warn!(%error, "a consumer cannot be listed");
                json!({ "error": { "code": "UNAVAILABLE", "message": error.to_string() } }).to_string()
            });
            Ok::<_, Infallible>(line + "\n")
        }
    });
    ([JSON_LINES], Body::from_stream(lines)).into_response()
}

/// An answer, good or bad.
type Answer = Result<Response, Response>;

async fn show(
    State(shared): State<Arc<Shared>>,
    by: Administrator,
    Path((user, device)): Path<(String, String)>,
) -> Answer {
    let name = name(by.tenant.clone(), user, device)?;
    let stored = shared.positions.store().load(&name).await.map_err(failed)?;
    let stored = stored.ok_or_else(|| missing(&name))?;
    let report = report(&shared.topology, &name, &stored).await.map_err(failed)?;
    Ok(Json(report).into_response())
}

#[derive(Deserialize)]
struct Target {
    to: String,
}

async fn reset(
    State(shared): State<Arc<Shared>>,
    by: Administrator,
    Path((user, device)): Path<(String, String)>,
    Json(Target { to }): Json<Target>,
) -> Answer {
    let name = name(by.tenant.clone(), user, device)?;
    let extent = shared.topology.home(&by.tenant).await.map_err(failed)?.extent().await.map_err(failed)?;
    let position = extent.position(&to).map_err(|error| bad("POSITION", &error))?;
    let reset = shared.positions.store().reset(&name, position).await.map_err(failed)?;
    reset.ok_or_else(|| missing(&name))?;
    audit::done(&by, "reset", &name, Some(&to));
    Ok(Json(json!({ "position": position.to_string() })).into_response())
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    by: Administrator,
    Path((user, device)): Path<(String, String)>,
) -> Answer {
    let name = name(by.tenant.clone(), user, device)?;
    if !shared.positions.store().remove(&name).await.map_err(failed)? {
        return Err(missing(&name));
    }
    audit::done(&by, "remove", &name, None);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn purge(State(shared): State<Arc<Shared>>, by: Administrator, Path(user): Path<String>) -> Answer {
    let address = Address::new("user", &user).map_err(|error| bad("USER", &error))?;
    let envelopes = purge_address(&shared.topology, &by.tenant, &address).await.map_err(failed)?;
    let consumers = shared.positions.store().purge_user(&by.tenant, &user).await.map_err(failed)?;
    audit::done(&by, "purge", &user, None);
    Ok(Json(json!({ "envelopes": envelopes, "consumers": consumers })).into_response())
}

fn name(tenant: Tenant, user: String, device: String) -> Result<ConsumerName, Response> {
    ConsumerName::new(tenant, user, device).map_err(|error| bad("CONSUMER_NAME", &error))
}

fn bad(code: &str, error: &dyn Error) -> Response {
    refuse(StatusCode::BAD_REQUEST, code, &error.to_string())
}

fn missing(name: &ConsumerName) -> Response {
    refuse(StatusCode::NOT_FOUND, "NOT_FOUND", &format!("there is no consumer {name}"))
}

fn failed(error: impl Error + 'static) -> Response {
    tracing::warn!(error = &error as &dyn Error, "a request of an administrator failed");
    unavailable("UNAVAILABLE", &error.to_string())
}
