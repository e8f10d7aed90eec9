//! Reads administrators' requests. Whatever is not understood is refused with the reason, and never ignored.

use std::error::Error as _;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidings_net::{BodyLate, ClientIp};

use crate::api::upgrade::has_body;
use crate::auth::Administrator;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;

impl FromRequestParts<Arc<Context>> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(request: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        let administrator = context.authenticator.administrator(request).await;
        administrator.inspect_err(|error| {
            context.audit.refused("administration", error, ClientIp::of(&request.extensions));
        })
    }
}

/// No parameters, or no body.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// What the path names.
pub(super) struct Named<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Named<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(request: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(named) = Path::from_request_parts(request, state)
            .await
            .map_err(|error| ApiError::new(ApiCode::Path, error.body_text()))?;
        Ok(Self(named))
    }
}

/// The query's parameters.
pub(super) struct Parameters<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Parameters<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(request: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let read = Query::try_from_uri(&request.uri);
        let Query(parameters) = read.map_err(|error| {
            let cause = error.source().map_or_else(|| error.body_text(), ToString::to_string);
            ApiError::new(ApiCode::Parameter, format!("the query is not understood: {cause}"))
        })?;
        Ok(Self(parameters))
    }
}

/// The body, an object of JSON; an absent one is what no member says.
pub(super) struct Members<T>(pub(super) T);

impl<T, S> FromRequest<S> for Members<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let bytes = to_bytes(body, MAX_BODY).await.map_err(|error| unread(&error))?;
        let members = if bytes.is_empty() {
            Value::Object(serde_json::Map::new())
        } else {
            check_is_json(&head.headers)?;
            tidings_model::json::parse(&bytes).map_err(|error| wrong(&error))?
        };
        if !members.is_object() {
            return Err(ApiError::new(ApiCode::Body, "the body is not a JSON object"));
        }
        Ok(Self(T::deserialize(members).map_err(|error| wrong(&error))?))
    }
}

fn wrong(error: &dyn std::error::Error) -> ApiError {
    ApiError::new(ApiCode::Body, format!("the body is not understood: {error}"))
}

fn unread(error: &axum::Error) -> ApiError {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<BodyLate>() {
            return ApiError::new(ApiCode::BodyLate, error.to_string());
        }
        cause = error.source();
    }
    let text = format!("the body has more than {MAX_BODY} bytes, or ended early");
    ApiError::new(ApiCode::BodyTooLarge, text)
}

/// What is sent as something else was not meant for here.
fn check_is_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let text = format!("a body of the type {given:?} is not read, expected Content-Type: application/json");
    Err(ApiError::new(ApiCode::ContentType, text))
}

/// Refuses a body where the method takes none, be it empty of meaning.
pub(super) fn check_body(request: &Request<Body>) -> Result<(), ApiError> {
    if request.method() == Method::POST || !has_body(request.headers()) {
        return Ok(());
    }
    Err(ApiError::new(ApiCode::BodyUnexpected, format!("{} takes no body here", request.method())))
}
