//! Answers that say no, in the one form that all of them have:
//! `{"error":{"code":…,"message":…}}`.

use axum::http::header::{
    CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::json;

use crate::auth::authenticate::Denied;

pub(crate) fn deny(denied: &Denied) -> Response {
    let status = denied.status();
    let mut response = refuse(status, denied.code(), &denied.to_string());
    match status {
        StatusCode::UNAUTHORIZED => {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::UPGRADE_REQUIRED => {
            let headers = response.headers_mut();
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            // RFC 9110, sections 15.5.22 and 7.8.
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        _ => {}
    }
    if let Some(retry_after) = denied.retry_after() {
        // Rounded up: who comes too early is refused again.
        let seconds = retry_after.as_millis().div_ceil(1000).max(1);
        if let Ok(seconds) = HeaderValue::from_str(&seconds.to_string()) {
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
    }
    response
}

pub(crate) fn unavailable(code: &str, message: &str) -> Response {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, code, message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

pub(crate) fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body(code, message)).into_response()
}

/// The answer where a path is served and a method is not; the header `Allow` names those that are.
pub(crate) async fn method_not_allowed(method: Method) -> Response {
    let text = format!("{method} is not served here; the header Allow names what is");
    refuse(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", &text)
}

/// The same for a request of which hyper could not read the head, byte for byte; `None` for any other status.
pub(crate) fn unreadable(status: u16) -> Option<Bytes> {
    let status = StatusCode::from_u16(status).ok()?;
    let (code, message) = match status {
        StatusCode::BAD_REQUEST => ("REQUEST_MALFORMED", "the request is not HTTP/1.1"),
        StatusCode::URI_TOO_LONG => ("URI_TOO_LONG", "the request's target has more than 65,534 bytes"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
            "HEADERS_TOO_LARGE",
            "the request has too many headers, or too many bytes in them and in the request line \
             (`gateway.max_headers`, `gateway.max_header_bytes`)",
        ),
        _ => return None,
    };
    let body = body(code, message);
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    Some(answer.into())
}

fn body(code: &str, message: &str) -> String {
    json!({ "error": { "code": code, "message": message } }).to_string() + "\n"
}
