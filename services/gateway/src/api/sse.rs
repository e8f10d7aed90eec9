//! Clients without WebSockets: events over HTTP.
//!
//! `GET /api/sse` is answered with an event stream, which a worker writes: the client's socket is taken from HTTP and handed to it
//! like that of a WebSocket.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONNECTION;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tidings_net::ClientIp;

use super::cors::{head_lines, preflight, to_page};
use super::handshake::{Visit, last_event, read_query};
use super::websocket::admit_over_http;
use super::{Endpoint, has_body};
use crate::error::{ApiCode, ApiError};
use crate::worker::HttpAnswer;

/// The head of the answer, but for what concerns the page. Proxies are asked not to hold events back.
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store, no-transform\r\n\
                    x-accel-buffering: no\r\nconnection: close\r\n";

pub(super) fn router() -> Router<Endpoint> {
    Router::new().route("/api/sse", get(connect).options(preflight))
}

/// Serves `GET /api/sse`.
async fn connect(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    take_over(&endpoint, &head, Box::pin(admit(&endpoint, &head))).await
}

/// Ends the exchange of a request whose socket was taken, or refuses it.
pub(super) async fn take_over(
    endpoint: &Endpoint,
    head: &Parts,
    admission: impl Future<Output = Result<(), ApiError>>,
) -> Response {
    let context = Arc::clone(&endpoint.context);
    let from = ClientIp::of(&head.extensions);
    let admitted = tokio::select! {
        biased;
        error = context.readiness.lost() => Err(error),
        admitted = admission => admitted.inspect_err(|error| context.audit.refused("handshake", error, from)),
    };
    context.handshakes.increment(admitted.as_ref().err().map_or(0, |error| 1 + error.code() as usize));
    let response = match admitted {
        // It is not sent.
        Ok(()) => (StatusCode::OK, [(CONNECTION, HeaderValue::from_static("close"))]).into_response(),
        Err(error) => error.into_response(),
    };
    to_page(&context, head, response)
}

async fn admit(endpoint: &Endpoint, head: &Parts) -> Result<(), ApiError> {
    if has_body(&head.headers) {
        let text = "the request has a body, expected none";
        return Err(ApiError::new(ApiCode::BodyUnexpected, text));
    }
    let last = last_event(&head.headers)?;
    let stream_head = [HEAD.as_bytes(), &head_lines(&endpoint.context, head), b"\r\n"].concat();
    let ask = || read_query(head.uri.query()).map(|(device, since)| (device, last.or(since)));
    admit_over_http(endpoint, head, (ask, Visit::Stay), HttpAnswer::Events(stream_head)).await
}
