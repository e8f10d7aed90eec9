//! Connections of all gateways: list, close.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get};
use futures_util::StreamExt as _;
use tidings_model::Tenant;
use tidings_streams::connections::{ConnectionList, ConnectionName, Operation, Search, ask, ask_about};

use super::{About, Answer, Named, Parameters, Selection, bad, failed, lines, missing};
use crate::audit;
use crate::auth::Administrator;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// What stands in place of the connections of a gateway that does not answer.
const SILENT: &str = "GATEWAY_SILENT";

pub(super) fn router() -> Router<Arc<Context>> {
    Router::new()
        .route("/connections", get(list).delete(close_user))
        .route("/connections/{id}", delete(close))
}

impl Named for ConnectionName {
    type Path = String;

    fn read(_: &Tenant, id: String) -> Result<Self, ApiError> {
        id.parse().map_err(|error| bad(ApiCode::Connection, &error))
    }
}

async fn list(
    State(context): State<Arc<Context>>,
    by: Administrator,
    Parameters(Selection { user }): Parameters<Selection>,
) -> Response {
    let search = Search { user, ..Search::default() };
    shown(ask(&context.topology.client(), Operation::List, &by.tenant, search))
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
    let closed = ask(&context.topology.client(), Operation::Close, &by.tenant, search);
    Ok(shown(closed))
}

fn shown(answers: ConnectionList) -> Response {
    lines(answers.map(|answer| answer.map(|connection| connection.shown())), "connections", SILENT)
}

async fn close(
    State(context): State<Arc<Context>>,
    About { by, what: name }: About<ConnectionName>,
) -> Answer {
    audit::done(&by, "close", &name, None);
    let client = context.topology.client();
    let mut closed = ask_about(&client, Operation::Close, &by.tenant, name.clone(), by.user.clone());
    match closed.next().await {
        Some(Ok(_)) => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(Err(error)) => Err(failed(error)),
        None => Err(missing(&format!("connection {name}"))),
    }
}
