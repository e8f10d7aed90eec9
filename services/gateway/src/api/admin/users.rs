//! Users: show, disable, enable, revoke tokens, purge.
//!
//! A user that was never connected can be disabled, so that it never connects. Every answer says what is known of the
//! user, because a misspelled one has neither devices nor connections.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidings_model::{Address, Tenant};
use tidings_streams::connections::{Operation, Search, ask};
use tidings_streams::users::{Mark, Revocation, UserName, UserState};
use tidings_streams::{deliveries, purge_address};

use super::{About, Answer, Members, Named, bad, failed};
use crate::audit;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

pub(super) fn router() -> Router<Arc<Context>> {
    Router::new()
        .route("/users/{user}", get(show).delete(purge))
        .route("/users/{user}/disable", Change::Disable.route())
        .route("/users/{user}/enable", Change::Enable.route())
        .route("/users/{user}/revoke", Change::Revoke.route())
}

impl Named for UserName {
    type Path = String;

    fn read(tenant: &Tenant, user: String) -> Result<Self, ApiError> {
        Self::new(tenant.clone(), user).map_err(|error| bad(ApiCode::User, &error))
    }
}

/// Why an administrator does something.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grounds {
    pub(super) reason: Option<String>,
}

impl Grounds {
    /// The reason, if it is not too long.
    pub(super) fn checked(self) -> Result<Option<String>, ApiError> {
        let length = self.reason.as_deref().map_or(0, |reason| reason.chars().count());
        if length <= MAX_REASON {
            return Ok(self.reason);
        }
        let text = format!("a reason of {length} characters is too long, expected at most {MAX_REASON}");
        Err(ApiError::new(ApiCode::Reason, text))
    }
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

async fn show(State(context): State<Arc<Context>>, user: About<UserName>) -> Answer {
    let name = user.what;
    let state = context.authenticator.users().load(&name).await.map_err(failed)?;
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

async fn purge(State(context): State<Arc<Context>>, About { by, what: name }: About<UserName>) -> Answer {
    let address = Address::new("user", name.user()).map_err(|error| bad(ApiCode::User, &error))?;
    let envelopes = purge_address(&context.topology, &by.tenant, &address).await.map_err(failed)?;
    let consumers = context.consumers.store().purge_user(&by.tenant, name.user()).await.map_err(failed)?;
    deliveries::purge_user(&context.topology, &by.tenant, name.user()).await.map_err(failed)?;
    context.preferences.purge_user(&name).await.map_err(failed)?;
    context.contacts.forget(&name).await.map_err(failed)?;
    audit::done(&by, "purge", &name, None);
    Ok(Json(json!({ "envelopes": envelopes, "consumers": consumers })).into_response())
}

/// What an administrator does about a user.
#[derive(Debug, Clone, Copy)]
enum Change {
    Disable,
    Enable,
    Revoke,
}

impl Change {
    /// What it is called in the audit log.
    fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Revoke => "revoke",
        }
    }

    fn route(self) -> MethodRouter<Arc<Context>> {
        post(move |context: State<Arc<Context>>, user: About<UserName>, grounds: Members<Grounds>| {
            change(self, context, user, grounds)
        })
    }
}

async fn change(
    change: Change,
    State(context): State<Arc<Context>>,
    About { by, what: name }: About<UserName>,
    Members(grounds): Members<Grounds>,
) -> Answer {
    let reason = grounds.checked()?;
    let (users, now) = (context.authenticator.users(), context.clock.unix_seconds());
    let (who, why) = (by.user.clone(), reason.clone());
    let changed = match change {
        Change::Disable => users.disable(&name, &Mark { since: now, by: who, reason: why }).await,
        Change::Enable => users.enable(&name).await,
        Change::Revoke => users.revoke(&name, &Revocation::up_to(now, who, why)).await,
    };
    let state = changed.map_err(failed)?;
    audit::done(&by, change.name(), &name, reason.as_deref());
    Ok(report(&name, &state, &Known::of(&context, &name).await))
}

fn report(name: &UserName, state: &UserState, known: &Known) -> Response {
    let ([disabled, revoked], Known { devices, connections }) = (state.shown(), known);
    let report = json!({
        "tenant": name.tenant(), "user": name.user(), "disabled": disabled, "revoked": revoked,
        "devices": devices, "connections": connections,
    });
    Json(report).into_response()
}
