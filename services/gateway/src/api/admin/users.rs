//! Users: show, disable, enable, revoke tokens, purge.
//!
//! A user that was never connected can be disabled, so that it never connects. Every answer says what is known of the
//! user, because a misspelled one has neither devices nor connections.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidings_model::Address;
use tidings_streams::connections::{Operation, Search, ask};
use tidings_streams::purge_address;
use tidings_streams::users::{Mark, Revocation, UserName, UserState, UsersError};

use super::extract::{Members, Named, Nothing, Parameters};
use super::{Answer, bad, failed};
use crate::audit;
use crate::auth::Administrator;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

pub(super) fn router() -> Router<Arc<Context>> {
    Router::new()
        .route("/users/{user}", get(show).delete(purge))
        .route("/users/{user}/disable", post(disable))
        .route("/users/{user}/enable", post(enable))
        .route("/users/{user}/revoke", post(revoke))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grounds {
    reason: Option<String>,
}

/// What else is known of a user. `None` is what cannot be read now.
#[derive(Serialize)]
struct Known {
    devices: Option<Vec<String>>,
    connections: Option<usize>,
}

impl Known {
    async fn of(context: &Context, name: &UserName) -> Self {
        let (devices, connections) = tokio::join!(devices(context, name), connections(context, name));
        Self { devices, connections }
    }

    fn is_nothing(&self) -> bool {
        self.devices.as_ref().is_some_and(Vec::is_empty) && self.connections == Some(0)
    }
}

async fn devices(context: &Context, name: &UserName) -> Option<Vec<String>> {
    let listed = context.consumers.store().list(name.tenant(), Some(name.user()));
    let mut devices: Vec<_> = listed
        .map_ok(|(consumer, _)| consumer.device().to_owned())
        .try_collect()
        .await
        .inspect_err(|error| tracing::warn!(%error, "a user's devices cannot be listed"))
        .ok()?;
    devices.sort_unstable();
    Some(devices)
}

/// How many there are on all gateways, if all of them answer.
async fn connections(context: &Context, name: &UserName) -> Option<usize> {
    let search = Search { user: Some(name.user().to_owned()), ..Search::default() };
    let mut found = ask(&context.topology.client(), Operation::List, name.tenant(), search);
    let mut count = 0;
    while let Some(answer) = found.next().await {
        answer.inspect_err(|error| tracing::warn!(%error, "not all connections can be listed")).ok()?;
        count += 1;
    }
    Some(count)
}

async fn show(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Named(user): Named<String>,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Answer {
    let name = user_name(&by, user)?;
    let state = context.users.store().load(&name).await.map_err(failed)?;
    let known = Known::of(&context, &name).await;
    if state.is_empty() && known.is_nothing() {
        let text = format!(
            "nothing is known of user {name}: neither a device nor a connection, and neither is the user disabled nor \
             any token revoked"
        );
        return Err(ApiError::new(ApiCode::NotFound, text));
    }
    Ok(report(&name, &state, &known))
}

async fn purge(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Named(user): Named<String>,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Answer {
    let name = user_name(&by, user)?;
    let address = Address::new("user", name.user()).map_err(|error| bad(ApiCode::User, &error))?;
    let envelopes = purge_address(&context.topology, &by.tenant, &address).await.map_err(failed)?;
    let consumers = context.consumers.store().purge_user(&by.tenant, name.user()).await.map_err(failed)?;
    audit::done(&by, "purge", &name, None);
    Ok(Json(json!({ "envelopes": envelopes, "consumers": consumers })).into_response())
}

async fn disable(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Named(user): Named<String>,
    Parameters(Nothing {}): Parameters<Nothing>,
    Members(grounds): Members<Grounds>,
) -> Answer {
    let (name, reason) = (user_name(&by, user)?, reason(grounds)?);
    let since = context.clock.unix_seconds();
    let mark = Mark { since, by: by.user.clone(), reason: reason.clone() };
    let changed = context.users.store().disable(&name, &mark).await;
    done(&context, &by, "disable", &name, reason.as_deref(), changed).await
}

async fn enable(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Named(user): Named<String>,
    Parameters(Nothing {}): Parameters<Nothing>,
    Members(grounds): Members<Grounds>,
) -> Answer {
    let (name, reason) = (user_name(&by, user)?, reason(grounds)?);
    let changed = context.users.store().enable(&name).await;
    done(&context, &by, "enable", &name, reason.as_deref(), changed).await
}

async fn revoke(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Named(user): Named<String>,
    Parameters(Nothing {}): Parameters<Nothing>,
    Members(grounds): Members<Grounds>,
) -> Answer {
    let (name, reason) = (user_name(&by, user)?, reason(grounds)?);
    let now = context.clock.unix_seconds();
    let revocation = Revocation::up_to(now, by.user.clone(), reason.clone());
    let changed = context.users.store().revoke(&name, &revocation).await;
    done(&context, &by, "revoke", &name, reason.as_deref(), changed).await
}

async fn done(
    context: &Context,
    by: &Administrator,
    what: &'static str,
    name: &UserName,
    reason: Option<&str>,
    changed: Result<UserState, UsersError>,
) -> Answer {
    let state = changed.map_err(failed)?;
    audit::done(by, what, name, reason);
    Ok(report(name, &state, &Known::of(context, name).await))
}

fn report(name: &UserName, state: &UserState, known: &Known) -> Response {
    let (UserState { disabled, revoked }, Known { devices, connections }) = (state, known);
    let report = json!({
        "tenant": name.tenant(), "user": name.user(), "disabled": disabled, "revoked": revoked,
        "devices": devices, "connections": connections,
    });
    Json(report).into_response()
}

fn user_name(by: &Administrator, user: String) -> Result<UserName, ApiError> {
    UserName::new(by.tenant.clone(), user).map_err(|error| bad(ApiCode::User, &error))
}

fn reason(Grounds { reason }: Grounds) -> Result<Option<String>, ApiError> {
    let length = reason.as_deref().map_or(0, |reason| reason.chars().count());
    if length > MAX_REASON { Err(bad(ApiCode::Reason, &TooLong { length })) } else { Ok(reason) }
}

#[derive(Debug, thiserror::Error)]
#[error("a reason of {length} characters is too long, expected at most {MAX_REASON}")]
struct TooLong {
    length: usize,
}
