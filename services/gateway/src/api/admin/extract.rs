//! What administrators send, taken apart: whatever is not understood is refused and said, never left aside.

use std::error::Error as _;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::respond::{deny, refuse};
use crate::audit::Administrator;
use crate::auth::authenticate as handshake;
use crate::context::Shared;
use crate::limits::Late;
use crate::net::serve::Peer;

/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;

impl FromRequestParts<Arc<Shared>> for Administrator {
    type Rejection = Response;

    async fn from_request_parts(request: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        handshake::administrator(shared, request).await.map_err(|denied| {
            shared.audit.refused(&denied.at("administration", Peer::of(&request.extensions)));
            deny(&denied)
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
    type Rejection = Response;

    async fn from_request_parts(request: &mut Parts, state: &S) -> Result<Self, Response> {
        let Path(named) = Path::from_request_parts(request, state)
            .await
            .map_err(|error| refuse(StatusCode::BAD_REQUEST, "PATH", &error.body_text()))?;
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
    type Rejection = Response;

    async fn from_request_parts(request: &mut Parts, _: &S) -> Result<Self, Response> {
        let read = Query::try_from_uri(&request.uri);
        let Query(parameters) = read.map_err(|error| {
            let cause = error.source().map_or_else(|| error.body_text(), ToString::to_string);
            refuse(StatusCode::BAD_REQUEST, "PARAMETER", &format!("the query is not understood: {cause}"))
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
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let bytes = to_bytes(body, MAX_BODY).await.map_err(|error| unread(&error))?;
        let members = if bytes.is_empty() {
            Value::Object(serde_json::Map::new())
        } else {
            check_is_json(&head.headers)?;
            tidings_model::json::parse(&bytes).map_err(|error| wrong(&error))?
        };
        if !members.is_object() {
            return Err(refuse(StatusCode::BAD_REQUEST, "BODY", "the body is not a JSON object"));
        }
        Ok(Self(T::deserialize(members).map_err(|error| wrong(&error))?))
    }
}

fn wrong(error: &dyn std::error::Error) -> Response {
    refuse(StatusCode::BAD_REQUEST, "BODY", &format!("the body is not understood: {error}"))
}

fn unread(error: &axum::Error) -> Response {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<Late>() {
            return refuse(StatusCode::REQUEST_TIMEOUT, "BODY_LATE", &error.to_string());
        }
        cause = error.source();
    }
    let text = format!("the body has more than {MAX_BODY} bytes, or ended early");
    refuse(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", &text)
}

/// What is sent as something else was not meant for here.
fn check_is_json(headers: &HeaderMap) -> Result<(), Response> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let text = format!("a body of the type {given:?} is not read, expected Content-Type: application/json");
    Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE", &text))
}

/// Requests whose method has no body must not have one, be it empty of meaning.
pub(super) fn check_body(request: &Request<Body>) -> Option<Response> {
    let takes_body = request.method() == axum::http::Method::POST;
    (!takes_body && handshake::has_body(request.headers())).then(|| {
        let text = format!("{} takes no body here", request.method());
        refuse(StatusCode::BAD_REQUEST, "BODY_UNEXPECTED", &text)
    })
}
