//! What the head of a WebSocket handshake says (RFC 6455, section 4.2), and how it is answered. Pure.
//!
//! A proxy that reads a request otherwise than the gateway does would let a client smuggle one request in another. So
//! every request that can be read in two ways is refused: repeated headers, a body, HTTP/1.0.
//!
//! Browsers end a connection whose server has chosen none of the subprotocols that were offered (WHATWG "WebSockets",
//! step "establish a WebSocket connection"). A client that offers nothing but its token is therefore answered with the
//! token: only its sender receives it, and it is marked so that no log shows it.

use std::borrow::Cow;

use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use tidings_access::Claims;
use tidings_model::{Position, PositionError};
use tidings_protocol::extensions::PermessageDeflate;
use tidings_protocol::server::{Form, SUBPROTOCOL, choose_subprotocol};
use tidings_streams::connections::{ConnectionName, ConnectionNameError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::has_body;
use crate::error::{ApiCode, ApiError};

/// The version of the protocol that is spoken.
const VERSION: &[u8] = b"13";
/// What a subprotocol that is a token begins with.
const BEARER: &str = "bearer.";
/// The longest name of a device, in characters.
const MAX_DEVICE: usize = 64;

/// A request that asks for a WebSocket as the protocol demands.
pub(super) struct Handshake<'r> {
    headers: &'r HeaderMap,
    key: &'r HeaderValue,
}

impl<'r> Handshake<'r> {
    /// Reads a request whose `Host` has been checked.
    pub(super) fn read(request: &'r Parts) -> Result<Self, ApiError> {
        let headers = &request.headers;
        let asks =
            has_element(headers, &CONNECTION, "upgrade") && has_element(headers, &UPGRADE, "websocket");
        // First, because a proxy that speaks HTTP/1.0 drops both headers, too.
        if request.version < Version::HTTP_11 {
            return Err(old_version(request.version));
        }
        if request.method != Method::GET || !asks {
            let text =
                "this is a WebSocket endpoint; send GET with `Connection: Upgrade` and `Upgrade: websocket`";
            return Err(ApiError::new(ApiCode::UpgradeRequired, text));
        }
        if has_body(headers) {
            let text =
                "the request has a body, expected none: no Transfer-Encoding, and no Content-Length but 0";
            return Err(ApiError::new(ApiCode::BodyUnexpected, text));
        }
        let version = sole(headers, &SEC_WEBSOCKET_VERSION)?.map(HeaderValue::as_bytes).unwrap_or_default();
        if version != VERSION {
            let version: String = String::from_utf8_lossy(version).chars().take(16).collect();
            let text = format!("WebSocket version {version:?} is not supported, expected 13");
            return Err(ApiError::new(ApiCode::WebSocketVersion, text));
        }
        let key = sole(headers, &SEC_WEBSOCKET_KEY)?.filter(|key| is_nonce(key.as_bytes()));
        let missing = || {
            let text = "the header Sec-WebSocket-Key is missing or is not 16 bytes in base64";
            ApiError::new(ApiCode::WebSocketKey, text)
        };
        Ok(Self { headers, key: key.ok_or_else(missing)? })
    }

    /// The form that the client asks for, whether its messages are compressed, and the headers of the answer.
    pub(super) fn answer(&self, takes_tokens: bool, compresses: bool) -> (Form, bool, HeaderMap) {
        let mut answer = HeaderMap::new();
        answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(self.key.as_bytes())) {
            answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        let (form, subprotocol) = choose(self.headers, takes_tokens);
        answer.extend(subprotocol.map(|chosen| (SEC_WEBSOCKET_PROTOCOL, chosen)));
        let agreed = compresses.then(|| extension(self.headers)).flatten();
        let is_compressed = agreed.is_some();
        answer.extend(agreed.map(|agreed| (SEC_WEBSOCKET_EXTENSIONS, agreed)));
        (form, is_compressed, answer)
    }
}

fn old_version(version: Version) -> ApiError {
    let text = format!(
        "a WebSocket needs HTTP/1.1, and this request is {version:?}; behind nginx, set `proxy_http_version 1.1;`, \
         `proxy_set_header Upgrade $http_upgrade;` and `proxy_set_header Connection \"upgrade\";`"
    );
    ApiError::new(ApiCode::HttpVersion, text)
}

/// The value of a header that may be there once.
fn sole<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Result<Option<&'r HeaderValue>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_none() {
        return Ok(value);
    }
    let text = format!("the request has several headers {name}, expected one");
    Err(ApiError::new(ApiCode::HeaderRepeated, text))
}

/// Whether these are 16 bytes in base64 (RFC 6455, section 4.2.1): 22 digits and the padding.
fn is_nonce(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
}

/// Whether a header that is a list has this element, in any case (RFC 6455, section 4.2.1).
fn has_element(headers: &HeaderMap, name: &HeaderName, element: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(element))
}

/// The form that a client asks for, and the subprotocol to answer with, if any.
fn choose(headers: &HeaderMap, takes_tokens: bool) -> (Form, Option<HeaderValue>) {
    let offered = || headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    if offered().find_map(choose_subprotocol).is_some() {
        return (Form::Sequenced, Some(HeaderValue::from_static(SUBPROTOCOL)));
    }
    if !takes_tokens {
        return (Form::Plain, None);
    }
    let mut names = offered().flat_map(|value| value.split(',')).map(str::trim);
    let token = names.find(|name| name.starts_with(BEARER));
    let mut answer = token.and_then(|token| HeaderValue::from_str(token).ok());
    if let Some(answer) = &mut answer {
        answer.set_sensitive(true);
    }
    (Form::Plain, answer)
}

/// The answer to the offered extensions; `None` if none of them is accepted.
fn extension(headers: &HeaderMap) -> Option<HeaderValue> {
    let offers = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().filter_map(|value| value.to_str().ok());
    HeaderValue::from_str(&PermessageDeflate::negotiate(offers)?.answer()).ok()
}

/// Where a client wants delivery to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// After this position, which it has kept itself.
    Position(Position),
    /// `new`: with what comes from now on.
    New,
    /// With the oldest that there is.
    Beginning,
}

/// For how long a client comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visit {
    /// Until its connection ends.
    Stay,
    /// For a page, to its device.
    Page,
    /// For a page; nothing is kept of it.
    Look,
}

/// Whether a client wants to be refused by a Close, whose code browsers show, where they show no status.
pub(super) fn wants_close(query: Option<&str>) -> bool {
    parameter(query.unwrap_or_default(), "refusals").is_ok_and(|value| value.as_deref() == Some("close"))
}

/// The device and the beginning that a client names in its query, which is read as it was sent.
pub(crate) fn read_query(query: Option<&str>) -> Result<(Option<String>, Option<Since>), ApiError> {
    let query = query.unwrap_or_default();
    let device = parameter(query, "device")?.map(Cow::into_owned);
    if let Some(device) = device.as_deref().filter(|device| !is_device(device)) {
        let device: String = device.chars().take(MAX_DEVICE).collect();
        let text = format!("the device {device:?} is not a name of 1 to {MAX_DEVICE} printable characters");
        return Err(ApiError::new(ApiCode::DeviceName, text));
    }
    let since = parameter(query, "since")?.map(|since| match &*since {
        "new" => Ok(Since::New),
        position => position.parse().map(Since::Position),
    });
    Ok((device, since.transpose().map_err(|error| ApiError::new(ApiCode::Position, error.to_string()))?))
}

/// What the client of an event stream has received, as browsers say it when they connect again.
pub(super) fn last_event(headers: &HeaderMap) -> Result<Option<Since>, ApiError> {
    let Some(id) = sole(headers, &HeaderName::from_static("last-event-id"))? else { return Ok(None) };
    let id = String::from_utf8_lossy(id.as_bytes());
    let position =
        id.parse().map_err(|error: PositionError| ApiError::new(ApiCode::Position, error.to_string()));
    position.map(|position| Some(Since::Position(position)))
}

/// The connection to which a message is sent.
pub(super) fn connection_of(query: Option<&str>) -> Result<ConnectionName, ApiError> {
    let query = query.unwrap_or_default();
    only(query, &EXCHANGE)?;
    let name = parameter(query, "connection")?.unwrap_or_default();
    name.parse().map_err(|error: ConnectionNameError| ApiError::new(ApiCode::Connection, error.to_string()))
}

/// What the query of a request for messages may have; `refusals`, since clients come with the query of their WebSocket.
pub(super) const PAGE: [&str; 8] =
    ["device", "since", "after", "offset", "wait", "live", "cursor", "refusals"];
/// The same of one that brings messages: to a connection, or to be answered with a page.
const EXCHANGE: [&str; 9] =
    ["connection", "device", "since", "after", "offset", "wait", "live", "cursor", "refusals"];

/// Refuses a query that has more than these parameters and a token.
pub(super) fn only(query: &str, known: &[&str]) -> Result<(), ApiError> {
    let is_known = |name: &str| known.contains(&name) || matches!(name, "token" | "Authorization");
    let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    let Some(name) = names.find(|name| !is_known(name)) else { return Ok(()) };
    let name: String = name.chars().take(MAX_DEVICE).collect();
    let known: Vec<_> =
        known.iter().chain(&["token", "Authorization"]).map(|name| format!("`{name}`")).collect();
    let known = known.join(", ");
    let text = format!("the query is not understood: unknown field `{name}`, expected one of {known}");
    Err(ApiError::new(ApiCode::Parameter, text))
}

fn is_device(name: &str) -> bool {
    (1..=MAX_DEVICE).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

pub(super) fn parameter<'q>(query: &'q str, name: &'static str) -> Result<Option<Cow<'q, str>>, ApiError> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name);
    let value = values.next().map(|(_, value)| value);
    if values.next().is_none() {
        return Ok(value);
    }
    let text = format!("the query has several `{name}`, expected one");
    Err(ApiError::new(ApiCode::ParameterRepeated, text))
}

/// The device of a client that names none: the first of these claims that the token has, else `default`, which all of the
/// user's clients share that cannot be told apart.
pub(super) fn device_of<'c>(claims: &'c Claims, names: &[String]) -> Cow<'c, str> {
    let mut texts = names.iter().flat_map(|name| claims.claim_texts(name));
    texts.find(|text| !text.is_empty()).unwrap_or(Cow::Borrowed("default"))
}

#[cfg(test)]
mod tests;
