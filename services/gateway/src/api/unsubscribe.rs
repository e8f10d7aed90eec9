//! `/api/unsubscribe/<link>`: switches a category off for a user by one click in an e-mail, without a login (RFC 8058).
//!
//! Programs of users `POST` to the link. People who open it in a browser see a page with a button, since programs that look into
//! links open them, too: `GET` changes nothing. The link's signature says what is switched off; nobody can make one.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use tidings_access::Unsubscription;
use tidings_net::ClientIp;
use tidings_streams::users::UserName;

use super::preferences::refused;
use super::{Endpoint, Nothing, has_body, read_body, read_parameters};
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// The longest body, in bytes.
const MAX_BODY: usize = 4 * 1024;

pub(super) fn router() -> Router<Endpoint> {
    Router::new().route("/api/unsubscribe/{link}", get(show).post(unsubscribe))
}

async fn show(State(endpoint): State<Endpoint>, Path(link): Path<String>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    if has_body(&head.headers) {
        return ApiError::new(ApiCode::BodyUnexpected, "GET takes no body here").into_response();
    }
    match named(&endpoint.context, &head, &link) {
        Ok(Unsubscription { category, channel, .. }) => page(&format!(
            "<p>No more messages of the kind <b>{category}</b> by {channel}?</p>\
             <form method=\"post\"><input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">\
             <button>Unsubscribe</button></form>"
        )),
        Err(error) => error.into_response(),
    }
}

async fn unsubscribe(
    State(endpoint): State<Endpoint>,
    Path(link): Path<String>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let context = Arc::clone(&endpoint.context);
    // A change that was begun is completed, even if the client does not wait for it.
    let changing = tokio::spawn(async move { switch_off(&context, &head, &link, body).await });
    match changing.await {
        Ok(Ok(Unsubscription { category, channel, .. })) => {
            page(&format!("<p>No more messages of the kind <b>{category}</b> come by {channel}.</p>"))
        }
        Ok(Err(error)) => error.into_response(),
        Err(error) => {
            tracing::error!(%error, "a user cannot unsubscribe");
            ApiError::new(ApiCode::Internal, "the gateway failed; its log says why").into_response()
        }
    }
}

/// What the link of a request unsubscribes from.
fn named(context: &Context, head: &Parts, link: &str) -> Result<Unsubscription, ApiError> {
    context.limits.attempt(ClientIp::of(&head.extensions))?;
    let Nothing {} = read_parameters(&head.uri)?;
    context.unsubscribe_keys.verify(link).ok_or_else(|| {
        ApiError::new(ApiCode::NotFound, "this is no link to unsubscribe, or its key is not in use any more")
    })
}

async fn switch_off(
    context: &Context,
    head: &Parts,
    link: &str,
    body: Body,
) -> Result<Unsubscription, ApiError> {
    let what = named(context, head, link)?;
    let body = read_body(body, MAX_BODY).await?;
    // A form, or the parts of one (RFC 8058, section 3.2).
    let has = |word: &[u8]| body.windows(word.len()).any(|found| found == word);
    if !has(b"List-Unsubscribe") || !has(b"One-Click") {
        return Err(ApiError::new(ApiCode::Body, "the body is not List-Unsubscribe=One-Click"));
    }
    let name = UserName::new(what.tenant.clone(), &what.user)
        .map_err(|error| ApiError::new(ApiCode::NotFound, error.to_string()))?;
    let off = |preferences: &mut tidings_preferences::Preferences| {
        preferences.switch(what.category.clone(), what.channel, false);
    };
    context.preferences.change(&name, off).await.map_err(|error| refused(&error))?;
    tracing::info!(user = %name, category = %what.category, channel = %what.channel, "a user has unsubscribed");
    Ok(what)
}

fn page(content: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"robots\" content=\"noindex\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Unsubscribe</title></head><body>{content}</body></html>"
    );
    let headers = [
        (CONTENT_SECURITY_POLICY, "default-src 'none'; form-action 'self'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, Html(html)).into_response()
}
