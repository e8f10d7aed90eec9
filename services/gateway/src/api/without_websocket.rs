//! Clients without WebSockets: events over HTTP, and messages by requests.
//!
//! `GET /api/sse` is answered with an event stream, which a worker writes: the client's socket is taken from HTTP and handed to it
//! like that of a WebSocket.
//!
//! `GET /api/messages` is answered with a page of messages, once there are any. `POST /api/messages` takes a client's message to its
//! connection, at whichever gateway that is; or, with a device in place of a connection, takes its messages and answers with
//! all that a connection brings. A page is a connection that ends with its answer, so positions, grants, filters and limits are
//! those of every connection.
//!
//! Reading follows the open Durable Streams protocol (<https://github.com/durable-streams/durable-streams>, sections 5.5 to 5.7)
//! as far as the documents say.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CONNECTION, ORIGIN, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::Value;
use tidings_model::{Position, json};
use tidings_net::ClientIp;
use tidings_protocol::framing;
use tidings_streams::connections::{ConnectionName, ask_to_receive};
use tokio::time::Instant;

use super::handshake::{PAGE, Since, Visit, connection_of, last_event, only, parameter, read_query};
use super::websocket::admit_over_http;
use super::{Endpoint, has_body, read_body};
use crate::context::Context;
use crate::error::{ApiCode, ApiError};
use crate::worker::{HttpAnswer, PageKind, PageRequest};

/// The head of the answer, but for what concerns the page. Proxies are asked not to hold events back.
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store, no-transform\r\n\
                    x-accel-buffering: no\r\nconnection: close\r\n";
/// The headers of an answer that pages may read.
const EXPOSED: &str = "retry-after, stream-next-offset, stream-up-to-date, stream-cursor";
/// The longest body, in bytes. The limit of one message is lower.
const MAX_BODY: usize = 256 * 1024;
/// How long a client waits that does not say so: libraries for HTTP give up after half a minute.
const WAIT: Duration = Duration::from_secs(20);
/// The longest time for which a client waits: proxies give up after a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(55);
/// Cursors count these seconds since this time (Durable Streams, section 10.1).
const CURSOR: (u64, u64) = (20, 1_728_432_000);

pub(super) fn router() -> Router<Endpoint> {
    Router::new()
        .route("/api/sse", get(connect).options(preflight))
        .route("/api/messages", get(read).post(receive).options(preflight))
}

/// Serves `GET /api/sse`.
async fn connect(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    take_over(&endpoint, &head, Box::pin(admit_stream(&endpoint, &head))).await
}

/// Ends the exchange of a request whose socket was taken, or refuses it.
async fn take_over(
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

async fn admit_stream(endpoint: &Endpoint, head: &Parts) -> Result<(), ApiError> {
    if has_body(&head.headers) {
        let text = "the request has a body, expected none";
        return Err(ApiError::new(ApiCode::BodyUnexpected, text));
    }
    let last = last_event(&head.headers)?;
    let stream_head = [HEAD.as_bytes(), &head_lines(&endpoint.context, head), b"\r\n"].concat();
    let ask = || read_query(head.uri.query()).map(|(device, since)| (device, last.or(since)));
    let answer = (HttpAnswer::Events(stream_head), Bytes::new());
    admit_over_http(endpoint, head, (ask, Visit::Stay), answer).await
}

/// Serves `GET /api/messages`.
async fn read(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    take_over(&endpoint, &head, Box::pin(admit_read(&endpoint, &head))).await
}

async fn admit_read(endpoint: &Endpoint, head: &Parts) -> Result<(), ApiError> {
    if has_body(&head.headers) {
        let text = "the request has a body, expected none";
        return Err(ApiError::new(ApiCode::BodyUnexpected, text));
    }
    let query = PageQuery::read(head.uri.query())?;
    let is_head = head.method == Method::HEAD;
    let visit = if query.device.is_some() && !is_head { Visit::Page } else { Visit::Look };
    let since = match visit {
        _ if is_head => Some(Since::New),
        Visit::Look => query.after.or(Some(Since::Beginning)),
        _ => query.after,
    };
    let kind = if is_head { PageKind::Head } else { PageKind::Messages };
    let wait = if is_head { Duration::ZERO } else { query.wait };
    let answer = HttpAnswer::Page(PageRequest::new(kind, wait, query.headers(endpoint, head)));
    admit_over_http(endpoint, head, (|| Ok((query.device, since)), visit), (answer, Bytes::new())).await
}

/// Serves `POST /api/messages`.
async fn receive(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let context = Arc::clone(&endpoint.context);
    let from = ClientIp::of(request.extensions());
    let (head, body) = request.into_parts();
    if !matches!(parameter(head.uri.query().unwrap_or_default(), "device"), Ok(None)) {
        return take_over(&endpoint, &head, Box::pin(admit_exchange(&endpoint, &head, body))).await;
    }
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

/// Takes messages of a device, and has the request answered with all that a connection brings.
async fn admit_exchange(endpoint: &Endpoint, head: &Parts, body: Body) -> Result<(), ApiError> {
    let query = PageQuery::read(head.uri.query())?;
    let body = read_body(body, MAX_BODY).await?;
    let headers = query.headers(endpoint, head);
    let answer = HttpAnswer::Page(PageRequest::new(PageKind::Everything, query.wait, headers));
    let ask = || Ok((query.device, query.after));
    admit_over_http(endpoint, head, (ask, Visit::Page), (answer, frames_of(&body).into())).await
}

/// The messages of a body as frames: those in a JSON array, or the one that it is.
fn frames_of(body: &[u8]) -> Vec<u8> {
    if body.is_empty() {
        return Vec::new();
    }
    match json::parse(body) {
        Ok(Value::Array(messages)) => {
            let frame = |message: Value| framing::client_text(message.to_string().as_bytes());
            messages.into_iter().flat_map(frame).collect()
        }
        // What is no message is answered as what it is.
        _ => framing::client_text(body),
    }
}

/// What the query of a request for a page says.
#[derive(Debug)]
struct PageQuery {
    device: Option<String>,
    after: Option<Since>,
    wait: Duration,
    /// The cursor that the client was given, if it waits for what is new.
    cursor: Option<u64>,
}

impl PageQuery {
    fn read(query: Option<&str>) -> Result<Self, ApiError> {
        only(query.unwrap_or_default(), &PAGE)?;
        let (device, since) = read_query(query)?;
        let query = query.unwrap_or_default();
        let (after, offset) = (parameter(query, "after")?, parameter(query, "offset")?);
        if [after.is_some(), offset.is_some(), since.is_some()].into_iter().filter(|given| *given).count() > 1
        {
            let text = "the query has several of `after`, `offset` and `since`, expected one";
            return Err(ApiError::new(ApiCode::ParameterRepeated, text));
        }
        let after = after.or(offset).map(|offset| read_offset(&offset)).transpose()?.or(since);
        let is_live = match parameter(query, "live")?.as_deref() {
            None => false,
            Some("long-poll") => true,
            Some(other) => {
                let other: String = other.chars().take(32).collect();
                let text =
                    format!("live={other} is not served here, expected long-poll; events are at /api/sse");
                return Err(ApiError::new(ApiCode::Parameter, text));
            }
        };
        let wait = parameter(query, "wait")?.map(|wait| read_wait(&wait)).transpose()?;
        let wait = wait.unwrap_or(if is_live { WAIT } else { Duration::ZERO });
        let cursor = parameter(query, "cursor")?.and_then(|cursor| cursor.parse().ok()).unwrap_or_default();
        Ok(Self { device, after, wait: wait.min(LONGEST_WAIT), cursor: is_live.then_some(cursor) })
    }

    /// Lines of the answer's head.
    fn headers(&self, endpoint: &Endpoint, head: &Parts) -> Vec<u8> {
        let mut lines = head_lines(&endpoint.context, head);
        if let Some(given) = self.cursor {
            let cursor = next_cursor(given, endpoint.context.clock.unix_seconds());
            lines.extend_from_slice(format!("stream-cursor: {cursor}\r\n").as_bytes());
        }
        lines
    }
}

/// Cursors only ascend.
fn next_cursor(given: u64, unix_seconds: u64) -> u64 {
    let (interval, epoch) = CURSOR;
    let current = unix_seconds.saturating_sub(epoch) / interval;
    if given < current { current } else { given.saturating_add(1) }
}

/// Where a page begins: behind a position, whose sequence may begin with zeros, as offsets have them; or `-1` or `now`, as Durable
/// Streams call the beginning and the end.
fn read_offset(text: &str) -> Result<Since, ApiError> {
    match text {
        "-1" => Ok(Since::Beginning),
        "now" | "new" => Ok(Since::New),
        _ => {
            let (epoch, sequence) = text.split_once('-').unwrap_or((text, ""));
            let digits = sequence.trim_start_matches('0');
            let digits = if digits.is_empty() && !sequence.is_empty() { "0" } else { digits };
            let position: Result<Position, _> = format!("{epoch}-{digits}").parse();
            position.map(Since::Position).map_err(|_| {
                let text: String = text.chars().take(64).collect();
                let text =
                    format!("{text:?} is not a position, expected one such as 18f3a0c2b41-42, or -1, or now");
                ApiError::new(ApiCode::Position, text)
            })
        }
    }
}

/// How long to wait: `30s`, `500ms`, or a number of seconds.
fn read_wait(text: &str) -> Result<Duration, ApiError> {
    let seconds = text.parse().map(Duration::from_secs).ok();
    seconds.or_else(|| humantime::parse_duration(text).ok()).ok_or_else(|| {
        let text: String = text.chars().take(32).collect();
        ApiError::new(ApiCode::Parameter, format!("wait={text} is not a time, expected one such as 30s"))
    })
}

/// Takes a message to the connection that the query names.
async fn accept(endpoint: &Endpoint, head: &Parts, body: Body) -> Result<(), ApiError> {
    let context = &endpoint.context;
    let (_, workers) = endpoint.when_open(Instant::now() + context.settings.handshake_timeout).await?;
    let token = context.authenticator.message_token(head)?;
    let name: ConnectionName = connection_of(head.uri.query())?;
    let claims = context.authenticator.verify(&token).await?;
    let principal = context.authenticator.principal(&claims, "default")?;
    let user = (principal.tenant(), principal.consumer.user());
    let body = read_body(body, MAX_BODY).await?;
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
    allow(&endpoint.context, &head, "GET, POST")
}

/// Allows pages of other origins these methods.
pub(super) fn allow(context: &Context, head: &Parts, methods: &'static str) -> Response {
    let allowed = [
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods)),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type, last-event-id"),
        ),
    ];
    to_page(context, head, (StatusCode::NO_CONTENT, allowed).into_response())
}

/// An answer that pages of allowed origins may read.
pub(super) fn to_page(context: &Context, request: &Parts, mut response: Response) -> Response {
    response.headers_mut().extend(page_headers(context, request));
    response
}

/// The same as lines of a head.
fn head_lines(context: &Context, request: &Parts) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_where_to_begin_and_how_long_to_wait() {
        let read = |query: &str| PageQuery::read(Some(query)).unwrap();
        let position = Some(Since::Position("ab-42".parse().unwrap()));
        for query in ["after=ab-42", "offset=ab-00000000000000000042", "since=ab-42"] {
            let PageQuery { device, after, wait, cursor } = read(query);
            assert_eq!((device, after, wait, cursor), (None, position, Duration::ZERO, None), "{query}");
        }
        assert_eq!(read("offset=-1").after, Some(Since::Beginning));
        assert_eq!(read("offset=now").after, Some(Since::New));
        assert_eq!(read("device=x").after, None);
        assert_eq!(read("wait=500ms").wait, Duration::from_millis(500));
        assert_eq!(read("wait=2").wait, Duration::from_secs(2));
        assert_eq!(read("wait=1h").wait, LONGEST_WAIT);
        let live = read("live=long-poll&cursor=77&offset=now");
        assert_eq!((live.wait, live.cursor), (WAIT, Some(77)));
        for (query, code) in [
            ("after=1-2&offset=1-2", ApiCode::ParameterRepeated),
            ("after=1-2&after=1-2", ApiCode::ParameterRepeated),
            ("after=x", ApiCode::Position),
            ("offset=-2", ApiCode::Position),
            ("offset=", ApiCode::Position),
            ("wait=soon", ApiCode::Parameter),
            ("live=sse", ApiCode::Parameter),
            ("device=", ApiCode::DeviceName),
            ("surely=not", ApiCode::Parameter),
        ] {
            assert_eq!(PageQuery::read(Some(query)).unwrap_err().code(), code, "{query}");
        }
    }

    #[test]
    fn cursors_only_ascend() {
        let (interval, epoch) = CURSOR;
        assert_eq!(next_cursor(0, epoch + 7 * interval), 7);
        assert_eq!(next_cursor(6, epoch + 7 * interval), 7);
        assert_eq!(next_cursor(7, epoch + 7 * interval), 8);
        assert_eq!(next_cursor(u64::MAX, epoch), u64::MAX);
        assert_eq!(next_cursor(0, 0), 1);
    }

    #[test]
    fn a_body_is_one_message_or_an_array() {
        let one = framing::client_text(br#"{"action":"ping"}"#);
        assert_eq!(frames_of(br#"{"action":"ping"}"#), one);
        assert_eq!(frames_of(br#"[{"action":"ping"}, {"action":"ping"}]"#), [one.clone(), one].concat());
        assert_eq!(frames_of(b"[]"), b"");
        assert_eq!(frames_of(b""), b"");
        assert_eq!(frames_of(b"[what"), framing::client_text(b"[what"));
    }
}
