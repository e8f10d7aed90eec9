//! Connections of all gateways: list, close.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get};
use futures_util::StreamExt as _;
use serde_json::json;
use tidings_streams::connections::{
    AskError, ConnectionList, ConnectionName, ConnectionReport, Operation, Search, ask, ask_about,
};

use super::extract::{Named, Nothing, Parameters};
use super::{Answer, JSON_LINES, Selection, bad, failed, missing};
use crate::audit;
use crate::auth::Administrator;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

pub(super) fn router() -> Router<Arc<Context>> {
    Router::new()
        .route("/connections", get(list).delete(close_user))
        .route("/connections/{id}", delete(close))
}

async fn list(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Parameters(Selection { user }): Parameters<Selection>,
) -> Response {
    let search = Search { user, ..Search::default() };
    lines(ask(&context.topology.client(), Operation::List, &by.tenant, search))
}

async fn close_user(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Parameters(Selection { user }): Parameters<Selection>,
) -> Answer {
    // Leaving something out does not close the connections of all users.
    let user = user.ok_or_else(|| {
        let text = "`user` is missing, expected whose connections to close";
        ApiError::new(ApiCode::User, text)
    })?;
    audit::done(&by, "close", &user, None);
    let search = Search { user: Some(user), by: by.user.clone(), ..Search::default() };
    Ok(lines(ask(&context.topology.client(), Operation::Close, &by.tenant, search)))
}

async fn close(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Named(id): Named<String>,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Answer {
    let name: ConnectionName = id.parse().map_err(|error| bad(ApiCode::Connection, &error))?;
    audit::done(&by, "close", &name, None);
    let client = context.topology.client();
    let mut closed = ask_about(&client, Operation::Close, &by.tenant, name.clone(), by.user.clone());
    match closed.next().await {
        Some(Ok(_)) => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(Err(error)) => Err(failed(error)),
        None => Err(missing(&format!("connection {name}"))),
    }
}

/// A line each. The status has been sent by the time that a gateway does not answer, so that becomes a line of
/// its own.
fn lines(answers: ConnectionList) -> Response {
    let lines = answers.map(|answer| Ok::<_, Infallible>(line(answer) + "\n"));
    ([JSON_LINES], Body::from_stream(lines)).into_response()
}

fn line(answer: Result<ConnectionReport, AskError>) -> String {
    let value = match answer {
        Ok(report) => json!(report),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "not all connections can be listed");
            json!({ "error": { "code": "GATEWAY_SILENT", "message": error.to_string() } })
        }
    };
    value.to_string()
}
