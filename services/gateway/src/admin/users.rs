//! Users who are switched off or on, and tokens that are revoked.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tidings_streams::users::{Mark, Revocation, UserName, UserState, UsersError};

use super::{Answer, bad, failed};
use crate::audit::{self, Administrator};
use crate::retained::unix_seconds;
use crate::shared::Shared;

/// The longest reason, in bytes.
const MAX_REASON: usize = 500;

pub(super) fn router() -> Router<Arc<Shared>> {
    // GET beside the DELETE that purges.
    Router::new()
        .route("/users/{user}", get(show))
        .route("/users/{user}/disable", post(disable))
        .route("/users/{user}/enable", post(enable))
        .route("/users/{user}/revoke", post(revoke))
}

#[derive(Deserialize)]
struct Grounds {
    reason: Option<String>,
}

async fn show(State(shared): State<Arc<Shared>>, by: Administrator, Path(user): Path<String>) -> Answer {
    let name = user_name(&by, user)?;
    Ok(told(&name, &shared.users.store().load(&name).await.map_err(failed)?))
}

async fn disable(
    State(shared): State<Arc<Shared>>,
    by: Administrator,
    Path(user): Path<String>,
    grounds: Option<Json<Grounds>>,
) -> Answer {
    let (name, reason) = (user_name(&by, user)?, reason(grounds)?);
    let since = unix_seconds((shared.clock)());
    let mark = Mark { since, by: by.user.clone(), reason: reason.clone() };
    let changed = shared.users.store().disable(&name, &mark).await;
    done(&by, "disable", &name, reason.as_deref(), changed)
}

async fn enable(
    State(shared): State<Arc<Shared>>,
    by: Administrator,
    Path(user): Path<String>,
    grounds: Option<Json<Grounds>>,
) -> Answer {
    let (name, reason) = (user_name(&by, user)?, reason(grounds)?);
    let changed = shared.users.store().enable(&name).await;
    done(&by, "enable", &name, reason.as_deref(), changed)
}

async fn revoke(
    State(shared): State<Arc<Shared>>,
    by: Administrator,
    Path(user): Path<String>,
    grounds: Option<Json<Grounds>>,
) -> Answer {
    let (name, reason) = (user_name(&by, user)?, reason(grounds)?);
    let now = unix_seconds((shared.clock)());
    let revocation = Revocation::up_to(now, by.user.clone(), reason.clone());
    let changed = shared.users.store().revoke(&name, &revocation).await;
    done(&by, "revoke", &name, reason.as_deref(), changed)
}

fn done(
    by: &Administrator,
    what: &'static str,
    name: &UserName,
    reason: Option<&str>,
    changed: Result<UserState, UsersError>,
) -> Answer {
    let state = changed.map_err(failed)?;
    audit::done(by, what, name, reason);
    Ok(told(name, &state))
}

fn told(name: &UserName, state: &UserState) -> Response {
    let UserState { disabled, revoked } = state;
    let told = json!({
        "tenant": name.tenant(), "user": name.user(), "disabled": disabled, "revoked": revoked,
    });
    Json(told).into_response()
}

fn user_name(by: &Administrator, user: String) -> Result<UserName, Response> {
    UserName::new(by.tenant.clone(), user).map_err(|error| bad("USER", &error))
}

fn reason(grounds: Option<Json<Grounds>>) -> Result<Option<String>, Response> {
    let reason = grounds.and_then(|Json(grounds)| grounds.reason);
    match reason {
        Some(reason) if reason.len() > MAX_REASON => Err(bad("REASON", &TooLong { length: reason.len() })),
        reason => Ok(reason),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a reason of {length} bytes is too long, expected at most {MAX_REASON}")]
struct TooLong {
    length: usize,
}
