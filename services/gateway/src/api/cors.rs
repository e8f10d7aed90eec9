//! What pages of other origins may do: send requests, and read the answers.

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::Endpoint;
use crate::context::Context;

/// The headers of an answer that pages may read.
const EXPOSED: &str = "retry-after, stream-next-offset, stream-up-to-date, stream-cursor";

/// Answers what browsers ask before a page of another origin sends a request.
pub(super) async fn preflight(State(endpoint): State<Endpoint>, request: Request) -> Response {
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
pub(super) fn to_page(context: &Context, request: &Parts, mut response: Response) -> Response {
    response.headers_mut().extend(page_headers(context, request));
    response
}

/// The same as lines of a head.
pub(super) fn head_lines(context: &Context, request: &Parts) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in &page_headers(context, request) {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

fn page_headers(context: &Context, request: &Parts) -> HeaderMap {
    let origin = request.headers.get(ORIGIN).filter(|_| context.authenticator.is_own_page(request));
    let Some(origin) = origin.cloned() else { return HeaderMap::new() };
    let headers: [(HeaderName, HeaderValue); 4] = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
        (ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED)),
        (VARY, HeaderValue::from_static("origin")),
    ];
    headers.into_iter().collect()
}
