//! Clients without WebSockets: events over HTTP, and messages by requests.
//!
//! `GET /api/sse` is answered with an event stream, which a worker writes: the client's socket is taken from HTTP and handed to it
//! like that of a WebSocket. `POST /api/messages` takes a client's message to its connection, at whichever gateway that is; the
//! answer comes as an event.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CONNECTION, ORIGIN, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tidings_net::ClientIp;
use tidings_streams::connections::{ConnectionName, ask_to_receive};
use tokio::time::Instant;

use super::handshake::connection_of;
use super::websocket::admit_event_stream;
use super::{Endpoint, has_body, read_body};
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// The head of the answer, but for what concerns the page. Proxies are asked not to hold events back.
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store, no-transform\r\n\
                    x-accel-buffering: no\r\nconnection: close\r\n";
/// The longest message of a client, in bytes. The connection's own limit is lower.
const MAX_MESSAGE: usize = 256 * 1024;

pub(super) fn router() -> Router<Endpoint> {
    Router::new()
        .route("/api/sse", get(connect).options(preflight))
        .route("/api/messages", post(receive).options(preflight))
}

/// Serves `GET /api/sse`.
async fn connect(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let context = Arc::clone(&endpoint.context);
    let from = ClientIp::of(request.extensions());
    let (head, _) = request.into_parts();
    let admitted = tokio::select! {
        biased;
        error = context.readiness.lost() => Err(error),
        admitted = admit(&endpoint, &head, from) => {
            admitted.inspect_err(|error| context.audit.refused("handshake", error, from))
        },
    };
    context.handshakes.increment(admitted.as_ref().err().map_or(0, |error| 1 + error.code() as usize));
    to_page(&context, &head, admitted.unwrap_or_else(ApiError::into_response))
}

async fn admit(endpoint: &Endpoint, head: &Parts, from: IpAddr) -> Result<Response, ApiError> {
    if has_body(&head.headers) {
        let text = "the request has a body, expected none";
        return Err(ApiError::new(ApiCode::BodyUnexpected, text));
    }
    admit_event_stream(endpoint, head, from, stream_head(&endpoint.context, head)).await?;
    // Ends the exchange; it is not sent.
    Ok((StatusCode::OK, [(CONNECTION, HeaderValue::from_static("close"))]).into_response())
}

fn stream_head(context: &Context, request: &Parts) -> Vec<u8> {
    let mut head = HEAD.as_bytes().to_vec();
    for (name, value) in &page_headers(context, request) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Serves `POST /api/messages`: takes a message to the connection that the query names.
async fn receive(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let context = Arc::clone(&endpoint.context);
    let from = ClientIp::of(request.extensions());
    let (head, body) = request.into_parts();
    let accepted = tokio::select! {
        biased;
        error = context.readiness.lost() => Err(error),
        accepted = accept(&endpoint, &head, body) => {
            accepted.inspect_err(|error| context.audit.refused("message", error, from))
        },
    };
    let response = match accepted {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(error) => error.into_response(),
    };
    to_page(&context, &head, response)
}

async fn accept(endpoint: &Endpoint, head: &Parts, body: Body) -> Result<(), ApiError> {
    let context = &endpoint.context;
    let (_, workers) = endpoint.when_open(Instant::now() + context.settings.handshake_timeout).await?;
    let token = context.authenticator.message_token(head)?;
    let name: ConnectionName = connection_of(head.uri.query())?;
    let claims = context.authenticator.verify(&token).await?;
    let principal = context.authenticator.principal(&claims, "default")?;
    let user = (principal.tenant(), principal.consumer.user());
    let body = read_body(body, MAX_MESSAGE).await?;
    let text = String::from_utf8(body.into())
        .map_err(|_| ApiError::new(ApiCode::Body, "the body is not UTF-8, expected a message in JSON"))?;
    let is_received = if name.gateway == context.name {
        workers.receive(user, name.ordinal, text).await
    } else {
        ask_to_receive(&context.topology.client(), user, &name, text).await
    };
    if is_received {
        return Ok(());
    }
    let text = format!("you have no event stream {name} that receives messages now; connect again");
    Err(ApiError::new(ApiCode::NotFound, text))
}

/// Answers what browsers ask before a page of another origin sends a request.
async fn preflight(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let allowed = [
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST")),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type, last-event-id"),
        ),
    ];
    to_page(&endpoint.context, &head, (StatusCode::NO_CONTENT, allowed).into_response())
}

/// An answer that pages of allowed origins may read.
fn to_page(context: &Context, request: &Parts, mut response: Response) -> Response {
    response.headers_mut().extend(page_headers(context, request));
    response
}

fn page_headers(context: &Context, request: &Parts) -> HeaderMap {
    let origin = request.headers.get(ORIGIN).filter(|_| context.authenticator.is_own_page(request));
    let Some(origin) = origin.cloned() else { return HeaderMap::new() };
    let headers: [(HeaderName, HeaderValue); 4] = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
        (ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after")),
        (VARY, HeaderValue::from_static("origin")),
    ];
    headers.into_iter().collect()
}
