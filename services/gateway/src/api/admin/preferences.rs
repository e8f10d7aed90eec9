//! What a user of the tenant wants to be told: show, replace.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use axum::routing::get;
use axum::{Json, Router};
use tidings_streams::users::UserName;

use super::{About, Answer};
use crate::api::preferences::{read, refused, store};
use crate::audit;
use crate::context::Context;

pub(super) fn router() -> Router<Arc<Context>> {
    Router::new().route("/users/{user}/preferences", get(show).put(replace))
}

async fn show(State(context): State<Arc<Context>>, user: About<UserName>) -> Answer {
    let preferences = context.preferences.load(&user.what).await.map_err(|error| refused(&error))?;
    Ok(Json(preferences).into_response())
}

async fn replace(
    State(context): State<Arc<Context>>,
    About { by, what: name }: About<UserName>,
    request: Request,
) -> Answer {
    let (head, body) = request.into_parts();
    let preferences = store(&context, &name, read(&head.headers, body).await?).await?;
    audit::done(&by, "set preferences", &name, None);
    Ok(Json(preferences).into_response())
}
