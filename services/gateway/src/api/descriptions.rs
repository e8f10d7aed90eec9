//! What there is: the HTTP interface at `/openapi.json`, and the messages of a tenant at `/asyncapi.json`.

use std::net::IpAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tidings_net::ClientIp;
use tokio::task::spawn_blocking;

use super::{Endpoint, Nothing, openapi, read_parameters};
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

pub(super) fn router() -> Router<Endpoint> {
    Router::new().route("/openapi.json", get(http)).route("/asyncapi.json", get(messages))
}

async fn http(uri: Uri) -> Response {
    match read_parameters(&uri) {
        Ok(Nothing {}) => json(openapi::DOCUMENT.as_str()),
        Err(error) => error.into_response(),
    }
}

async fn messages(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let from: IpAddr = ClientIp::of(request.extensions());
    let (head, _) = request.into_parts();
    let described = describe(&endpoint.context, &head).await;
    described.map_or_else(
        |error| {
            endpoint.context.audit.refused("describe", &error, from);
            error.into_response()
        },
        json,
    )
}

/// Describes the messages of the tenant of the request's token.
async fn describe(context: &Context, head: &Parts) -> Result<String, ApiError> {
    let user = context.authenticator.user(head).await?;
    let tenant = user.tenant().clone();
    let Nothing {} = read_parameters(&head.uri)?;
    let files = context.catalogs.borrow().get(&tenant).map(|catalog| catalog.files().clone());
    let failed =
        || ApiError::new(ApiCode::Internal, "the catalog cannot be described; the gateway's log says why");
    // A large catalog takes some milliseconds.
    let described =
        spawn_blocking(move || tidings_types::asyncapi(&tenant, &files.unwrap_or_default())).await;
    let described = described.map_err(|error| {
        tracing::error!(%error, "a catalog cannot be described");
        failed()
    })?;
    let described = described.map_err(|error| {
        tracing::error!(%error, "a catalog cannot be described");
        failed()
    })?;
    Ok(described.to_string())
}

fn json(body: impl Into<String>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.into()).into_response()
}
