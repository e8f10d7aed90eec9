//! API keys of producers: list, make, revoke.
//!
//! A key is in the answer to the request that makes it and nowhere else.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tidings_access::ApiKey;
use tidings_model::{Event, EventPattern, KeyId, Tenant};
use tidings_streams::keys::{KeyName, KeyReport, KeyState};
use tidings_streams::users::Mark;

use super::users::Grounds;
use super::{About, Answer, Members, Named, Nothing, Parameters, bad, failed, lines, missing};
use crate::audit;
use crate::auth::Administrator;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

pub(super) fn router() -> Router<Arc<Context>> {
    Router::new().route("/keys", get(list).post(create)).route("/keys/{id}/revoke", post(revoke))
}

impl Named for KeyName {
    type Path = String;

    fn read(tenant: &Tenant, id: String) -> Result<Self, ApiError> {
        let id = KeyId::parse(&id).map_err(|error| bad(ApiCode::Path, &error))?;
        Ok(Self { tenant: tenant.clone(), id })
    }
}

/// What a new key is bound to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    events: Vec<EventPattern>,
    source: Option<String>,
    /// In seconds.
    expires_in: Option<u64>,
    reason: Option<String>,
}

impl NewKey {
    fn check(&self) -> Result<(), ApiError> {
        let wrong = |text: &str| Err(ApiError::new(ApiCode::Body, text));
        if self.events.is_empty() {
            return wrong("`events` is empty; expected events such as incident.created, or * for all");
        }
        if self.source.as_deref().is_some_and(|source| source.is_empty() || !Event::can_be_named(source)) {
            return wrong("`source` is not a source of 1 to 256 bytes without control characters");
        }
        if self.expires_in == Some(0) {
            return wrong("`expires_in` is 0, expected a number of seconds");
        }
        Ok(())
    }
}

/// The answer with a new key, the only one that shows it.
#[derive(Serialize)]
struct MadeKey<'k> {
    key: &'k str,
    #[serde(flatten)]
    report: KeyReport,
}

async fn list(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Answer {
    let keys = context.authenticator.keys().list(&by.tenant).await.map_err(failed)?;
    let keys = keys.into_iter().map(|(name, state)| Ok::<_, ApiError>(KeyReport::new(&name, state.as_ref())));
    Ok(lines(stream::iter(keys), "API keys", ApiCode::Unavailable.as_str()))
}

async fn create(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Parameters(Nothing {}): Parameters<Nothing>,
    Members(new): Members<NewKey>,
) -> Answer {
    new.check()?;
    let reason = Grounds { reason: new.reason }.checked()?;
    let (key, token) = ApiKey::generate().map_err(failed)?;
    let now = context.clock.unix_seconds();
    let name = KeyName { tenant: by.tenant.clone(), id: key.id().clone() };
    let state = KeyState {
        digest: key.digest().to_owned(),
        events: new.events,
        source: new.source,
        created: Mark { since: now, by: by.user.clone(), reason: reason.clone() },
        expires_at: new.expires_in.map(|seconds| now.saturating_add(seconds)),
        revoked: None,
    };
    context.authenticator.keys().create(&name, &state).await.map_err(failed)?;
    audit::done(&by, "create key", &name, reason.as_deref());
    let report = KeyReport::new(&name, Some(&state));
    Ok(Json(MadeKey { key: token.expose(), report }).into_response())
}

async fn revoke(
    State(context): State<Arc<Context>>,
    About { by, what: name }: About<KeyName>,
    Members(grounds): Members<Grounds>,
) -> Answer {
    let reason = grounds.checked()?;
    let mark = Mark { since: context.clock.unix_seconds(), by: by.user.clone(), reason: reason.clone() };
    let revoked = context.authenticator.keys().revoke(&name, &mark).await.map_err(failed)?;
    let state = revoked.ok_or_else(|| missing(&format!("API key {name}")))?;
    audit::done(&by, "revoke key", &name, reason.as_deref());
    Ok(Json(KeyReport::new(&name, Some(&state))).into_response())
}
