//! `GET` and `PUT /api/preferences`: what a user wants to be told by which channel, and when not. The token says whose.
//!
//! Administrators do the same for any user of their tenant (`admin::preferences`). A category that the catalog does not know is
//! refused, since switching it would seem to have an effect; one that is stored already may stay, whatever became of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;
use tidings_model::{ChannelKind, media_type};
use tidings_net::ClientIp;
use tidings_preferences::{Category, Preferences, QuietHours};
use tidings_streams::preferences::PreferencesError;
use tidings_streams::users::UserName;
use time::OffsetDateTime;

use super::without_websocket::to_page;
use super::{Endpoint, Nothing, has_body, read_body, read_parameters};
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;

pub(super) fn router() -> Router<Endpoint> {
    Router::new().route("/api/preferences", get(show).put(replace).options(preflight))
}

async fn show(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let context = &endpoint.context;
    let shown = async {
        let name = user(context, &head).await?;
        if has_body(&head.headers) {
            return Err(ApiError::new(ApiCode::BodyUnexpected, "GET takes no body here"));
        }
        context.preferences.load(&name).await.map_err(|error| refused(&error))
    };
    answer(context, &head, shown.await)
}

async fn replace(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // A change that was begun is completed, even if the client does not wait for it.
    let replacing = tokio::spawn(async move {
        let context = &endpoint.context;
        let replaced = async {
            let name = user(context, &head).await?;
            let preferences = read(&head.headers, body).await?;
            store(context, &name, preferences).await
        };
        answer(context, &head, replaced.await)
    });
    replacing.await.unwrap_or_else(|error| {
        tracing::error!(%error, "preferences cannot be stored");
        ApiError::new(ApiCode::Internal, "the gateway failed; its log says why").into_response()
    })
}

async fn user(context: &Context, head: &Parts) -> Result<UserName, ApiError> {
    let name = context.authenticator.user(head).await?;
    let Nothing {} = read_parameters(&head.uri)?;
    Ok(name)
}

fn answer(context: &Context, head: &Parts, done: Result<Preferences, ApiError>) -> Response {
    let response = match done {
        Ok(preferences) => Json(preferences).into_response(),
        Err(error) => {
            context.audit.refused("preferences", &error, ClientIp::of(&head.extensions));
            error.into_response()
        }
    };
    to_page(context, head, response)
}

/// Answers what browsers ask before a page of another origin sends a request.
async fn preflight(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let allowed = [
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, PUT")),
        (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type")),
    ];
    to_page(&endpoint.context, &head, (StatusCode::NO_CONTENT, allowed).into_response())
}

/// All that a user has set. What is not said is not set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPreferences {
    #[serde(default)]
    categories: BTreeMap<Category, BTreeMap<ChannelKind, bool>>,
    quiet_hours: Option<QuietHours>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    muted_until: Option<OffsetDateTime>,
}

/// Reads the body of a request.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Preferences, ApiError> {
    let given = headers.get(axum::http::header::CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media_type(given) != "application/json" {
        let text =
            format!("a body of the type {given:?} is not read, expected Content-Type: application/json");
        return Err(ApiError::new(ApiCode::ContentType, text));
    }
    let wrong = |error: &dyn std::error::Error| {
        ApiError::new(ApiCode::Body, format!("the body is not understood: {error}"))
    };
    let body = read_body(body, MAX_BODY).await?;
    let NewPreferences { categories, quiet_hours, muted_until } =
        tidings_model::json::read(&body).map_err(|error| wrong(&error))?;
    let preferences = Preferences { categories, quiet_hours, muted_until };
    preferences.check().map_err(|error| wrong(&error))?;
    Ok(preferences)
}

/// Stores all that a user has set, in place of what the user had set.
pub(super) async fn store(
    context: &Context,
    name: &UserName,
    preferences: Preferences,
) -> Result<Preferences, ApiError> {
    let stored = context.preferences.load(name).await.map_err(|error| refused(&error))?;
    check_categories(context, name, &stored, &preferences)?;
    context
        .preferences
        .change(name, |stored| stored.clone_from(&preferences))
        .await
        .map_err(|error| refused(&error))
}

fn check_categories(
    context: &Context,
    name: &UserName,
    stored: &Preferences,
    preferences: &Preferences,
) -> Result<(), ApiError> {
    let catalogs = Arc::clone(&context.catalogs.borrow());
    let known = catalogs.get(name.tenant()).map(|catalog| catalog.categories()).unwrap_or_default();
    let is_strange =
        |category: &&Category| !known.contains_key(category) && !stored.categories.contains_key(*category);
    let Some(strange) = preferences.categories.keys().find(is_strange) else { return Ok(()) };
    let known: Vec<_> = known.keys().map(|category| category.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let text = format!("the catalog has no category {strange} with a fallback; it has {known}");
    Err(ApiError::new(ApiCode::Body, text))
}

/// What a request is answered with whose preferences cannot be read or stored.
pub(super) fn refused(error: &PreferencesError) -> ApiError {
    let code = match error {
        PreferencesError::Damaged { .. } => ApiCode::UserUnreadable,
        _ => ApiCode::Unavailable,
    };
    tracing::warn!(error = error as &dyn std::error::Error, "preferences cannot be read or stored");
    ApiError::new(code, error.to_string())
}
