//! Durable consumers: list, show, reset, remove.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{BoxError, Json, Router};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::json;
use tidings_model::Tenant;
use tidings_streams::consumers::{ConsumerName, report};

use super::extract::{Members, Named, Nothing, Parameters};
use super::{Answer, JSON_LINES, Selection, bad, failed, missing};
use crate::audit;
use crate::auth::Administrator;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

pub(super) fn router() -> Router<Arc<Context>> {
    Router::new()
        .route("/consumers", get(list))
        .route("/consumers/{user}/{device}", get(show).delete(remove))
        .route("/consumers/{user}/{device}/reset", post(reset))
}

async fn list(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Parameters(Selection { user }): Parameters<Selection>,
) -> Response {
    let found = context.consumers.store().list(&by.tenant, user.as_deref());
    let topology = context.topology.clone();
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

async fn show(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Named((user, device)): Named<(String, String)>,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Answer {
    let name = name(by.tenant.clone(), user, device)?;
    let stored = context.consumers.store().load(&name).await.map_err(failed)?;
    let stored = stored.ok_or_else(|| missing(&format!("consumer {name}")))?;
    let report = report(&context.topology, &name, &stored).await.map_err(failed)?;
    Ok(Json(report).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    to: String,
}

async fn reset(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Named((user, device)): Named<(String, String)>,
    Parameters(Nothing {}): Parameters<Nothing>,
    Members(Target { to }): Members<Target>,
) -> Answer {
    let name = name(by.tenant.clone(), user, device)?;
    let extent = context.topology.home(&by.tenant).await.map_err(failed)?.extent().await.map_err(failed)?;
    let position = extent.position(&to).map_err(|error| bad(ApiCode::Position, &error))?;
    let reset = context.consumers.store().reset(&name, position).await.map_err(failed)?;
    reset.ok_or_else(|| missing(&format!("consumer {name}")))?;
    audit::done(&by, "reset", &name, Some(&to));
    Ok(Json(json!({ "position": position.to_string() })).into_response())
}

async fn remove(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Named((user, device)): Named<(String, String)>,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Answer {
    let name = name(by.tenant.clone(), user, device)?;
    if !context.consumers.store().remove(&name).await.map_err(failed)? {
        return Err(missing(&format!("consumer {name}")));
    }
    audit::done(&by, "remove", &name, None);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn name(tenant: Tenant, user: String, device: String) -> Result<ConsumerName, ApiError> {
    ConsumerName::new(tenant, user, device).map_err(|error| bad(ApiCode::ConsumerPath, &error))
}
