//! Checks whether a request is a WebSocket handshake (RFC 6455, section 4.2.1). Pure.
//!
//! A proxy that reads a request otherwise than the gateway does would let a client smuggle one request in another. So
//! every request that can be read in two ways is refused: repeated headers, a body, HTTP/1.0.

use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::error::{ApiCode, ApiError};

/// The version of the protocol that is spoken.
const VERSION: &[u8] = b"13";

/// A request that asks for a WebSocket as the protocol demands.
pub(super) struct Upgrade<'r> {
    key: &'r HeaderValue,
}

/// Why a request is no WebSocket handshake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error(
        "a WebSocket needs HTTP/1.1, and this request is {0:?}; behind nginx, set `proxy_http_version 1.1;`, \
         `proxy_set_header Upgrade $http_upgrade;` and `proxy_set_header Connection \"upgrade\";`"
    )]
    Http(Version),
    #[error("this is a WebSocket endpoint; send GET with `Connection: Upgrade` and `Upgrade: websocket`")]
    Absent,
    #[error("WebSocket version {0:?} is not supported, expected 13")]
    Version(String),
    #[error("the request has several headers {0}, expected one")]
    Repeated(HeaderName),
    #[error("the request has a body, expected none: no Transfer-Encoding, and no Content-Length but 0")]
    Body,
    #[error("the header Sec-WebSocket-Key is missing or is not 16 bytes in base64")]
    Key,
}

impl From<UpgradeError> for ApiError {
    fn from(error: UpgradeError) -> Self {
        let code = match error {
            UpgradeError::Http(_) => ApiCode::HttpVersion,
            UpgradeError::Absent => ApiCode::UpgradeRequired,
            UpgradeError::Version(_) => ApiCode::WebSocketVersion,
            UpgradeError::Repeated(_) => ApiCode::HeaderRepeated,
            UpgradeError::Body => ApiCode::BodyUnexpected,
            UpgradeError::Key => ApiCode::WebSocketKey,
        };
        Self::new(code, error.to_string())
    }
}

impl<'r> Upgrade<'r> {
    /// Reads a request whose `Host` has been checked.
    pub(super) fn read(request: &'r Parts) -> Result<Self, UpgradeError> {
        let headers = &request.headers;
        let asks =
            has_element(headers, &CONNECTION, "upgrade") && has_element(headers, &UPGRADE, "websocket");
        // First, because a proxy that speaks HTTP/1.0 drops both headers, too.
        if request.version < Version::HTTP_11 {
            return Err(UpgradeError::Http(request.version));
        }
        if request.method != Method::GET || !asks {
            return Err(UpgradeError::Absent);
        }
        if has_body(headers) {
            return Err(UpgradeError::Body);
        }
        let version = sole(headers, &SEC_WEBSOCKET_VERSION)?.map(HeaderValue::as_bytes).unwrap_or_default();
        if version != VERSION {
            return Err(UpgradeError::Version(String::from_utf8_lossy(version).chars().take(16).collect()));
        }
        let key = sole(headers, &SEC_WEBSOCKET_KEY)?.filter(|key| is_nonce(key.as_bytes()));
        Ok(Self { key: key.ok_or(UpgradeError::Key)? })
    }

    /// The headers of the answer that every upgrade has.
    pub(super) fn answer(&self) -> HeaderMap {
        let mut answer = HeaderMap::new();
        answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(self.key.as_bytes())) {
            answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        answer
    }
}

/// Whether a body follows the head, be it empty (RFC 9112, section 6.3).
pub(super) fn has_body(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(CONTENT_LENGTH).iter();
    headers.contains_key(TRANSFER_ENCODING) || lengths.into_iter().any(|length| length.as_bytes() != b"0")
}

/// The value of a header that may be there once.
fn sole<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Result<Option<&'r HeaderValue>, UpgradeError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() { Err(UpgradeError::Repeated(name.clone())) } else { Ok(value) }
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
