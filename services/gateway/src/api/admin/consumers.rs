//! Durable consumers: list, show, reset, remove.

use std::sync::Arc;

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

use super::{About, Answer, Members, Named, Parameters, Selection, bad, failed, lines, missing};
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

impl Named for ConsumerName {
    type Path = (String, String);

    fn read(tenant: &Tenant, (user, device): (String, String)) -> Result<Self, ApiError> {
        Self::new(tenant.clone(), user, device).map_err(|error| bad(ApiCode::ConsumerPath, &error))
    }
}

async fn list(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Parameters(Selection { user }): Parameters<Selection>,
) -> Response {
    let found = context.consumers.store().list(&by.tenant, user.as_deref());
    let topology = context.topology.clone();
    let reports = found.then(move |consumer| {
        let topology = topology.clone();
        async move {
            let (name, stored) = consumer?;
            Ok::<_, BoxError>(report(&topology, &name, &stored).await?)
        }
    });
    lines(reports, "consumers", ApiCode::Unavailable.as_str())
}

async fn show(State(context): State<Arc<Context>>, consumer: About<ConsumerName>) -> Answer {
    let name = consumer.what;
    let stored = context.consumers.store().load(&name).await.map_err(failed)?;
    let stored = stored.ok_or_else(|| absent(&name))?;
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
    About { by, what: name }: About<ConsumerName>,
    Members(Target { to }): Members<Target>,
) -> Answer {
    let home = context.topology.home(&by.tenant).await.map_err(failed)?;
    let extent = home.extent().await.map_err(failed)?;
    let position = extent.position(&to).map_err(|error| bad(ApiCode::Position, &error))?;
    let placed = home.placed(position, &extent);
    let reset = context.consumers.store().reset(&name, placed).await.map_err(failed)?;
    reset.ok_or_else(|| absent(&name))?;
    audit::done(&by, "reset", &name, Some(&to));
    Ok(Json(json!({ "position": position.to_string() })).into_response())
}

async fn remove(
    State(context): State<Arc<Context>>,
    About { by, what: name }: About<ConsumerName>,
) -> Answer {
    if !context.consumers.store().remove(&name).await.map_err(failed)? {
        return Err(absent(&name));
    }
    audit::done(&by, "remove", &name, None);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn absent(name: &ConsumerName) -> ApiError {
    missing(&format!("consumer {name}"))
}
