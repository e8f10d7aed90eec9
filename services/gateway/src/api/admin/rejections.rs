//! Rejected events: list, show, retry, remove.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::json;
use tidings_catalog::Reason;
use tidings_model::{Position, Tenant};
use tidings_streams::{RejectedEvent, Rejections, RetryError};

use super::{About, Answer, Members, Named, Nothing, Parameters, bad, failed, lines, missing};
use crate::audit;
use crate::auth::Administrator;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

pub(super) fn router() -> Router<Arc<Context>> {
    Router::new()
        .route("/rejections", get(list))
        .route("/rejections/{position}", get(show).delete(remove))
        .route("/rejections/{position}/retry", post(retry))
}

impl Named for Position {
    type Path = String;

    fn read(_: &Tenant, position: String) -> Result<Self, ApiError> {
        position.parse().map_err(|error| bad(ApiCode::Position, &error))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// `<entity>.<action>`.
    event: Option<String>,
    reason: Option<String>,
}

impl Filter {
    /// A reason that no event can have is misspelled; an unknown event may be why it was rejected.
    fn check(&self) -> Result<(), ApiError> {
        let Some(reason) = &self.reason else { return Ok(()) };
        let known = Reason::ALL.map(Reason::as_str);
        if known.contains(&reason.as_str()) {
            return Ok(());
        }
        let text = format!("there is no reason {reason:?}; there are {}", known.join(", "));
        Err(ApiError::new(ApiCode::Reason, text))
    }

    fn passes(&self, rejected: &RejectedEvent) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == rejected.reason)
            && self.event.as_ref().is_none_or(|event| event == rejected.event())
    }
}

async fn list(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Parameters(filter): Parameters<Filter>,
) -> Answer {
    filter.check()?;
    let listed = Rejections::new(&context.topology).list(&by.tenant);
    let passing = listed.filter(move |rejected| {
        std::future::ready(rejected.as_ref().map_or(true, |rejected| filter.passes(rejected)))
    });
    Ok(lines(passing, "rejections", ApiCode::Unavailable.as_str()))
}

async fn show(State(context): State<Arc<Context>>, rejection: About<Position>) -> Answer {
    let rejected = find(&Rejections::new(&context.topology), &rejection).await?;
    Ok(Json(rejected.whole().map_err(failed)?).into_response())
}

async fn retry(
    State(context): State<Arc<Context>>,
    rejection: About<Position>,
    Members(Nothing {}): Members<Nothing>,
) -> Answer {
    let rejections = Rejections::new(&context.topology);
    let rejected = find(&rejections, &rejection).await?;
    let sequence = rejections.retry(&rejected).await.map_err(|error| match error {
        RetryError::Incomplete(_) => ApiError::new(ApiCode::EventIncomplete, error.to_string()),
        error => failed(error),
    })?;
    audit::done(&rejection.by, "retry", &of_tenant(&rejection.by, &rejected), Some(&rejected.reason));
    Ok(Json(json!({ "position": rejected.position.to_string(), "sequence": sequence })).into_response())
}

async fn remove(State(context): State<Arc<Context>>, rejection: About<Position>) -> Answer {
    let rejections = Rejections::new(&context.topology);
    let rejected = find(&rejections, &rejection).await?;
    if !rejections.drop(&rejected).await.map_err(failed)? {
        let text =
            format!("event {} was retried or rejected again meanwhile; look at it again", rejection.what);
        return Err(ApiError::new(ApiCode::Changed, text));
    }
    audit::done(&rejection.by, "drop", &of_tenant(&rejection.by, &rejected), Some(&rejected.reason));
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn find(
    rejections: &Rejections,
    About { by, what: position }: &About<Position>,
) -> Result<RejectedEvent, ApiError> {
    let found = rejections.get(&by.tenant, *position).await.map_err(failed)?;
    found.ok_or_else(|| missing(&format!("rejected event {position} of tenant {}", by.tenant)))
}

/// What the audit log calls a rejected event.
fn of_tenant(by: &Administrator, rejected: &RejectedEvent) -> String {
    format!("{}/{} {}", by.tenant, rejected.event(), rejected.position)
}
