//! The HTTP interface for administrators.
//!
//! The tenant is the token's, so an administrator cannot reach another tenant's data; the token needs the scope
//! `tidings:admin`, and counts in the header alone. Every change is logged in the audit log, and is completed even if the
//! client does not wait for it. What is not understood is refused.
//!
//! | request | what |
//! | --- | --- |
//! | `GET consumers[?user=]` | all consumers, a JSON object per line |
//! | `GET consumers/{user}/{device}` | one consumer |
//! | `POST consumers/{user}/{device}/reset` with `{"to":…}` | moves it to `new`, `all`, a sequence or a position |
//! | `DELETE consumers/{user}/{device}` | removes it |
//! | `GET users/{user}` | what is known of a user |
//! | `DELETE users/{user}` | removes the user's envelopes and consumers |
//! | `POST users/{user}/disable`, `/enable`, `/revoke` with `{"reason":…}`, if at all | disables or enables a user, revokes the tokens issued so far |
//! | `GET`, `PUT users/{user}/preferences` | what a user wants to be told by which channel, and when not |
//! | `GET users/{user}/contacts` | where the user is reached, redacted |
//! | `PUT users/{user}/contacts` with `{"email":[…],…}` | sets contacts of the given kinds |
//! | `DELETE users/{user}/contacts` | forgets all of them |
//! | `GET connections[?user=]` | the connections of all gateways, a JSON object per line |
//! | `DELETE connections/{id}`, `connections?user=` | closes a connection, or all of a user |
//! | `GET rejections[?event=&reason=]` | events that could not be projected, a JSON object per line |
//! | `GET rejections/{position}` | one of them, with its payload |
//! | `POST rejections/{position}/retry` | retries it |
//! | `DELETE rejections/{position}` | removes it |
//! | `GET deliveries[?user=&event=&delivery=&status=]` | what became of fallbacks, and those that wait, a JSON object per line |
//! | `GET deliveries/{user}/{delivery}` | each attempt of one of them |
//! | `POST deliveries/{user}/{delivery}/retry` | makes it again |
//! | `GET keys` | API keys of producers, a JSON object per line |
//! | `POST keys` with `{"events":[…],"source":…,"expires_in":…,"reason":…}` | makes a key, which is shown once |
//! | `POST keys/{id}/revoke` with `{"reason":…}`, if at all | revokes a key |

mod connections;
mod consumers;
mod contacts;
mod deliveries;
mod keys;
mod preferences;
mod rejections;
mod users;

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::{BoxError, Router};
use futures_util::{Stream, StreamExt as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidings_model::Tenant;
use tidings_net::ClientIp;

use super::members::Members;
use super::{Nothing, has_body, method_not_allowed, read_parameters};
use crate::auth::Administrator;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// An answer, good or bad.
type Answer = Result<Response, ApiError>;

pub(super) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .merge(consumers::router())
        .merge(users::router())
        .merge(preferences::router())
        .merge(contacts::router())
        .merge(connections::router())
        .merge(rejections::router())
        .merge(deliveries::router())
        .merge(keys::router())
        .fallback(|| async {
            let text =
                "there is nothing here; consumers, users, connections, rejections, deliveries and keys are below /api/v1";
            ApiError::new(ApiCode::NotFound, text)
        })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(complete))
        .with_state(context)
}

/// Completes a change, and its line in the audit log, even if the administrator's client has gone.
async fn complete(request: Request, next: Next) -> Response {
    if let Err(refused) = check_body(&request) {
        return refused.into_response();
    }
    if request.method() == Method::GET {
        return next.run(request).await;
    }
    let changing = tokio::spawn(next.run(request));
    changing.await.unwrap_or_else(|error| {
        tracing::error!(%error, "an administrator's request failed");
        ApiError::new(ApiCode::Internal, "the gateway failed; its log says why").into_response()
    })
}

/// Refuses a body where the method takes none, be it empty of meaning.
fn check_body(request: &Request<Body>) -> Result<(), ApiError> {
    if [Method::POST, Method::PUT].contains(request.method()) || !has_body(request.headers()) {
        return Ok(());
    }
    Err(ApiError::new(ApiCode::BodyUnexpected, format!("{} takes no body here", request.method())))
}

impl FromRequestParts<Arc<Context>> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(request: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        let administrator = context.authenticator.administrator(request).await;
        administrator.inspect_err(|error| {
            context.audit.refused("administration", error, ClientIp::of(&request.extensions));
        })
    }
}

/// One user, or all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    user: Option<String>,
}

/// The query's parameters.
struct Parameters<T>(T);

impl<T, S> FromRequestParts<S> for Parameters<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(request: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(read_parameters(&request.uri)?))
    }
}

/// A thing of a tenant that a path names.
trait Named: Sized {
    /// The path's parameters.
    type Path: DeserializeOwned + Send;

    fn read(tenant: &Tenant, path: Self::Path) -> Result<Self, ApiError>;
}

/// A request of an administrator about one thing, without parameters.
struct About<T> {
    by: Administrator,
    what: T,
}

impl<T: Named> FromRequestParts<Arc<Context>> for About<T> {
    type Rejection = ApiError;

    async fn from_request_parts(request: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        let by = Administrator::from_request_parts(request, context).await?;
        let path = Path::from_request_parts(request, context).await;
        let Path(path) = path.map_err(|error| ApiError::new(ApiCode::Path, error.body_text()))?;
        let Parameters(Nothing {}) = Parameters::from_request_parts(request, context).await?;
        Ok(Self { what: T::read(&by.tenant, path)?, by })
    }
}

/// Answers with a JSON text for each item, in a line of its own. The status has been sent by the time that one cannot be
/// read, so its error becomes a line.
fn lines<T: Serialize, E: Into<BoxError>>(
    items: impl Stream<Item = Result<T, E>> + Send + 'static,
    what: &'static str,
    code: &'static str,
) -> Response {
    let line = move |item: Result<T, E>| {
        let line = item.map_err(Into::into).and_then(|item| Ok(serde_json::to_string(&item)?));
        line.unwrap_or_else(|error: BoxError| {
            tracing::warn!(error = &*error as &dyn Error, "not all {what} can be listed");
            json!({ "error": { "code": code, "detail": error.to_string() } }).to_string()
        })
    };
    let lines = items.map(move |item| Ok::<_, Infallible>(line(item) + "\n"));
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

fn bad(code: ApiCode, error: &dyn Error) -> ApiError {
    ApiError::new(code, error.to_string())
}

fn missing(what: &str) -> ApiError {
    ApiError::new(ApiCode::NotFound, format!("there is no {what}"))
}

fn failed(error: impl Error + 'static) -> ApiError {
    tracing::warn!(error = &error as &dyn Error, "an administrator's request failed");
    ApiError::new(ApiCode::Unavailable, error.to_string())
}
