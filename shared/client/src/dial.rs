//! Opens a connection, and tells failures that pass from those that last.

use std::time::Duration;

use serde_json::Value;
use tidings_protocol::server::SUBPROTOCOL;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use crate::error::ClientError;
use crate::settings::Settings;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What came of an attempt.
pub(crate) enum Dialed {
    Open(Box<Socket>),
    /// Another attempt may succeed, after the time that the gateway names.
    Passing {
        what: String,
        after: Option<Duration>,
    },
    /// The gateway accepts this token no longer.
    TokenOver {
        what: String,
    },
}

/// Checks what does not depend on the gateway.
pub(crate) fn check(settings: &Settings) -> Result<(), ClientError> {
    request(settings, "", None).map(drop)
}

/// Opens a connection that continues after a position, or else after the device's position.
pub(crate) async fn dial(
    settings: &Settings,
    token: &str,
    since: Option<&str>,
) -> Result<Dialed, ClientError> {
    let request = request(settings, token, since)?;
    let connector = match (&settings.tls, settings.url.starts_with("wss://")) {
        (Some(tls), true) => Some(Connector::Rustls(tls.clone())),
        (None, true) => None,
        (_, false) => Some(Connector::Plain),
    };
    let opening = tokio_tungstenite::connect_async_tls_with_config(request, None, false, connector);
    let (url, patience) = (&settings.url, settings.patience);
    let passing = |what| Ok(Dialed::Passing { what, after: None });
    let failed = |why: String, is_untrusted| ClientError::Connect { url: url.clone(), why, is_untrusted };
    match tokio::time::timeout(patience, opening).await {
        Ok(Ok((socket, _))) => Ok(Dialed::Open(Box::new(socket))),
        Ok(Err(Error::Http(response))) => refused(url, &response),
        Ok(Err(Error::Io(error))) if is_tls(&error) => Err(failed(error.to_string(), true)),
        Ok(Err(Error::Io(error))) => passing(format!("cannot connect to {url}: {error}")),
        // A gateway that dies while it answers.
        Ok(Err(error @ (Error::ConnectionClosed | Error::Protocol(_)))) => {
            passing(format!("cannot connect to {url}: {error}"))
        }
        Ok(Err(other)) => Err(failed(other.to_string(), false)),
        Err(_) => passing(format!("{url} does not answer within {patience:?}")),
    }
}

fn request(settings: &Settings, token: &str, since: Option<&str>) -> Result<Request, ClientError> {
    let mut url = settings.url.clone();
    for (name, value) in [("device", settings.device.as_deref()), ("since", since)] {
        if let Some(value) = value {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(name);
            url.push('=');
            url.extend(form_urlencoded::byte_serialize(value.as_bytes()));
        }
    }
    let wrong = |why: String| ClientError::Address { url: settings.url.clone(), why };
    let mut request = url.into_client_request().map_err(|error| wrong(error.to_string()))?;
    let bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        ClientError::Unauthorized { what: "the token has characters that are not allowed in one".to_owned() }
    })?;
    request.headers_mut().insert(AUTHORIZATION, bearer);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(request)
}

/// Classifies the gateway's answer that refused the connection.
fn refused(url: &str, response: &Response) -> Result<Dialed, ClientError> {
    let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
    let status = response.status();
    let what = format!("{url} answers {status}: {}", body.trim());
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse().ok());
    if status.is_server_error() || status.as_u16() == 429 {
        return Ok(Dialed::Passing { what, after: retry_after.map(Duration::from_secs) });
    }
    if matches!(code(&body).as_deref(), Some("TOKEN_EXPIRED" | "TOKEN_REVOKED")) {
        return Ok(Dialed::TokenOver { what });
    }
    Err(ClientError::Refused { what })
}

fn code(body: &str) -> Option<String> {
    let body: Value = tidings_model::json::parse(body.as_bytes()).ok()?;
    Some(body.get("code")?.as_str()?.to_owned())
}

fn is_tls(error: &std::io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}
