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
//! | `GET connections[?user=]` | the connections of all gateways, a JSON object per line |
//! | `DELETE connections/{id}`, `connections?user=` | closes a connection, or all of a user |
//! | `GET rejections[?event=&reason=]` | events that could not be projected, a JSON object per line |
//! | `GET rejections/{position}` | one of them, with its payload |
//! | `POST rejections/{position}/retry` | retries it |
//! | `DELETE rejections/{position}` | removes it |

mod connections;
mod consumers;
mod extract;
mod rejections;
mod users;

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, Method};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use self::extract::check_body;
use super::request::method_not_allowed;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

const JSON_LINES: (HeaderName, &str) = (CONTENT_TYPE, "application/x-ndjson");

/// An answer, good or bad.
type Answer = Result<Response, ApiError>;

pub(super) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .merge(consumers::router())
        .merge(users::router())
        .merge(connections::router())
        .merge(rejections::router())
        .fallback(|| async {
            let text =
                "there is nothing here; consumers, users, connections and rejections are below /api/v1";
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    user: Option<String>,
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
