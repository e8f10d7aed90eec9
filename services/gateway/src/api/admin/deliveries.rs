//! Deliveries: what became of fallbacks, and those that wait. List, show, retry.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{BoxError, Json, Router};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_model::{DeliveryName, Tenant};
use tidings_streams::deliveries::{Deliveries, RetryDeliveryError};

use super::{About, Answer, Members, Named, Nothing, Parameters, failed, lines, missing};
use crate::audit;
use crate::auth::Administrator;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

pub(super) fn router() -> Router<Arc<Context>> {
    Router::new()
        .route("/deliveries", get(list))
        .route("/deliveries/{user}/{delivery}", get(show))
        .route("/deliveries/{user}/{delivery}/retry", post(retry))
}

impl Named for DeliveryName {
    type Path = (String, String);

    fn read(tenant: &Tenant, (user, name): (String, String)) -> Result<Self, ApiError> {
        Self::of_user(tenant, &user, &name).ok_or_else(|| {
            let text = format!(
                "{name:?} is not the name of a delivery, expected one such as \"18f3a0c2b41-42-0-0\"; \
                 `GET /api/v1/deliveries` lists them"
            );
            ApiError::new(ApiCode::Path, text)
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    user: Option<String>,
    /// The id of an event.
    event: Option<String>,
    /// The id under which the receiver knows it.
    delivery: Option<String>,
    status: Option<String>,
}

impl Filter {
    fn passes(&self, found: &Value) -> bool {
        let is = |member: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| found[member].as_str() == Some(wanted))
        };
        is("event", &self.event) && is("delivery", &self.delivery) && is("status", &self.status)
    }
}

type Found = BoxStream<'static, Result<Value, BoxError>>;

/// The newest fact about each delivery, and what waits. Nothing, if no dispatcher has ever run.
async fn list(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Parameters(filter): Parameters<Filter>,
) -> Answer {
    let deliveries = Deliveries::find(&context.topology).await.map_err(failed)?;
    let found: Found = match deliveries {
        None => stream::empty().boxed(),
        Some(deliveries) => {
            let user = filter.user.as_deref();
            let facts = deliveries.newest_facts(&by.tenant, user).map_err(BoxError::from);
            let facts = facts.and_then(|fact| async move { Ok(serde_json::to_value(fact)?) });
            let waiting = deliveries.waiting(&by.tenant, user).map_err(BoxError::from);
            facts.chain(waiting.and_then(|waiting| async move { Ok(serde_json::to_value(waiting)?) })).boxed()
        }
    };
    let passing =
        found.filter(move |found| std::future::ready(found.as_ref().map_or(true, |it| filter.passes(it))));
    Ok(lines(passing, "deliveries", ApiCode::Unavailable.as_str()))
}

/// Every fact about one delivery, in order.
async fn show(State(context): State<Arc<Context>>, delivery: About<DeliveryName>) -> Answer {
    let deliveries = Deliveries::find(&context.topology).await.map_err(failed)?;
    let deliveries = deliveries.ok_or_else(|| absent(&delivery.what))?;
    let facts: Vec<_> = deliveries.facts_about(&delivery.what).try_collect().await.map_err(failed)?;
    if facts.is_empty() {
        return Err(absent(&delivery.what));
    }
    Ok(Json(json!({ "facts": facts })).into_response())
}

async fn retry(
    State(context): State<Arc<Context>>,
    About { by, what: name }: About<DeliveryName>,
    Members(Nothing {}): Members<Nothing>,
) -> Answer {
    let deliveries = Deliveries::find(&context.topology).await.map_err(failed)?;
    let fact = deliveries.ok_or_else(|| absent(&name))?.retry(&name).await.map_err(|error| match error {
        RetryDeliveryError::NotFound => absent(&name),
        RetryDeliveryError::Status(_) | RetryDeliveryError::NotKept => {
            ApiError::new(ApiCode::DeliveryDecided, error.to_string())
        }
        RetryDeliveryError::Deliveries(error) => failed(error),
    })?;
    let what = format!("{}/{} {name}", name.tenant, name.user);
    audit::done(&by, "retry", &what, fact.reason.as_deref());
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn absent(name: &DeliveryName) -> ApiError {
    missing(&format!("delivery {name} to user {:?} that was decided", name.user))
}
