//! Contacts of users: show, set, forget. What is shown lets their owner recognise them, and no more.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use tidings_contacts::{Book, BookReport, Update, new_id};
use tidings_streams::users::UserName;

use super::{About, Answer, Members, bad};
use crate::api::contacts_error::refused;
use crate::audit;
use crate::context::Context;
use crate::error::ApiCode;

pub(super) fn router() -> Router<Arc<Context>> {
    Router::new().route("/users/{user}/contacts", get(show).put(set).delete(forget))
}

async fn show(State(context): State<Arc<Context>>, user: About<UserName>) -> Answer {
    let book = context.contacts.load(&user.what).await.map_err(|error| refused(&error))?;
    Ok(report(&user.what, &book))
}

async fn set(
    State(context): State<Arc<Context>>,
    About { by, what: name }: About<UserName>,
    Members(update): Members<Update>,
) -> Answer {
    update.check().map_err(|error| bad(ApiCode::Body, &error))?;
    let now = context.clock.unix_seconds();
    let changed = context.contacts.change(&name, |book| update.apply(book, now, &mut new_id)).await;
    let book = changed.map_err(|error| refused(&error))?;
    audit::done(&by, "set contacts", &name, None);
    Ok(report(&name, &book))
}

async fn forget(State(context): State<Arc<Context>>, About { by, what: name }: About<UserName>) -> Answer {
    context.contacts.forget(&name).await.map_err(|error| refused(&error))?;
    audit::done(&by, "forget contacts", &name, None);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn report(name: &UserName, book: &Book) -> Response {
    Json(BookReport::new(name, book)).into_response()
}
