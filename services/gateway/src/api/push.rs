//! Browsers in which a user wants notifications while no page is open: `PUT` and `DELETE /api/push`, with the user's own token.
//!
//! Where a token may be, and which pages may use a cookie, is as for messages of clients.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::put;
use tidings_access::Claims;
use tidings_contacts::{BrowserSubscription, new_id};
use tidings_net::ClientIp;
use tidings_streams::users::UserName;
use tokio::time::Instant;

use super::contacts_error::refused;
use super::handshake::{device_of, only, read_query};
use super::members::Members;
use super::without_websocket::{allow, to_page};
use super::{Endpoint, has_body};
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

pub(super) fn router() -> Router<Endpoint> {
    Router::new().route("/api/push", put(subscribe).delete(unsubscribe).options(preflight))
}

/// A browser, by the device that it is.
struct Browser {
    user: UserName,
    device: String,
}

impl Browser {
    /// The browser of a request, once its token is verified.
    async fn of(endpoint: &Endpoint, head: &Parts) -> Result<Self, ApiError> {
        let context = &endpoint.context;
        endpoint.when_open(Instant::now() + context.settings.handshake_timeout).await?;
        let token = context.authenticator.message_token(head)?;
        only(head.uri.query().unwrap_or_default(), &["device"])?;
        let (device, _) = read_query(head.uri.query())?;
        let claims: Claims = context.authenticator.verify(&token).await?;
        let device = device.map_or_else(|| device_of(&claims, &context.settings.device_claims), Cow::Owned);
        let principal = context.authenticator.principal(&claims, &device)?;
        let user = UserName::new(principal.tenant().clone(), principal.consumer.user())?;
        Ok(Self { user, device: device.into_owned() })
    }
}

async fn subscribe(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let subscribing = async {
        let Browser { user, device } = Browser::of(&endpoint, &head).await?;
        let request = Request::from_parts(head.clone(), body);
        let Members(given) = Members::<BrowserSubscription>::from_request(request, &()).await?;
        let checked = given.check();
        let subscription = checked.map_err(|error| ApiError::new(ApiCode::Body, error.to_string()))?;
        let (contacts, now) = (&endpoint.context.contacts, endpoint.context.clock.unix_seconds());
        let change = contacts.change(&user, |book| book.subscribe(&device, &subscription, now, &mut new_id));
        change.await.map(drop).map_err(|error| refused(&error))
    };
    answer(&endpoint.context, &head, Box::pin(subscribing)).await
}

async fn unsubscribe(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let unsubscribing = async {
        if has_body(&head.headers) {
            let text = "the request has a body, expected none";
            return Err(ApiError::new(ApiCode::BodyUnexpected, text));
        }
        let Browser { user, device } = Browser::of(&endpoint, &head).await?;
        let change = endpoint.context.contacts.change(&user, |book| book.unsubscribe(&device));
        change.await.map(drop).map_err(|error| refused(&error))
    };
    answer(&endpoint.context, &head, Box::pin(unsubscribing)).await
}

/// Answers what browsers ask before a page of another origin sends a request.
async fn preflight(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    allow(&endpoint.context, &head, "PUT, DELETE")
}

async fn answer(
    context: &Arc<Context>,
    head: &Parts,
    changing: impl Future<Output = Result<(), ApiError>>,
) -> Response {
    let changed = tokio::select! {
        biased;
        error = context.readiness.lost() => Err(error),
        changed = changing => {
            changed.inspect_err(|error| context.audit.refused("push", error, ClientIp::of(&head.extensions)))
        },
    };
    let response = match changed {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => error.into_response(),
    };
    to_page(context, head, response)
}
