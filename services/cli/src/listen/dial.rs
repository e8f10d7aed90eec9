//! Opens a connection, and classifies failures.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidings_access::Trust;
use tidings_protocol::server::SUBPROTOCOL;
use tidings_runtime::config::GatewayConfig;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use super::interruption::Interruption;
use crate::arguments::ListenOptions;
use crate::failure::Failure;

/// How long a gateway may take to open a connection.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where to connect, with which token.
pub(super) struct Dial<'o> {
    pub(super) url: String,
    connector: Connector,
    options: &'o ListenOptions,
}

impl<'o> Dial<'o> {
    pub(super) fn new(gateway: &GatewayConfig, options: &'o ListenOptions) -> Result<Self, Failure> {
        if options.token.is_empty() {
            return Err("the token is empty; `tidings token` prints one for --token or TIDINGS_TOKEN".into());
        }
        let url = options.url.clone().unwrap_or_else(|| default_url(gateway));
        let connector = connector(&url, options)?;
        let dial = Self { url, connector, options };
        dial.request(None)?;
        Ok(dial)
    }

    /// Opens a connection that continues after a position, or else after the device's position. The inner result is
    /// an error if another attempt makes sense.
    pub(super) async fn open(&self, since: Option<&str>) -> Result<Result<Socket, Interruption>, Failure> {
        let (request, connector) = (self.request(since)?, self.connector.clone());
        let opening = tokio_tungstenite::connect_async_tls_with_config(request, None, false, Some(connector));
        match tokio::time::timeout(PATIENCE, opening).await {
            Ok(Ok((socket, _))) => Ok(Ok(socket)),
            Ok(Err(Error::Http(response))) => self.refused(&response).map(Err),
            Ok(Err(Error::Io(error))) if is_tls(&error) => {
                let url = &self.url;
                Err(format!("cannot connect to {url}: {error}; --ca names a file of certificates to trust")
                    .into())
            }
            Ok(Err(Error::Io(error))) => {
                Ok(Err(Interruption::new(format!("cannot connect to {}: {error}", self.url))))
            }
            Ok(Err(other)) => Err(format!("cannot connect to {}: {other}", self.url).into()),
            Err(_) => Ok(Err(Interruption::new(format!("{} does not answer within {PATIENCE:?}", self.url)))),
        }
    }

    fn request(&self, since: Option<&str>) -> Result<Request, Failure> {
        let mut url = self.url.clone();
        for (name, value) in [("device", self.options.device.as_deref()), ("since", since)] {
            if let Some(value) = value {
                url.push(if url.contains('?') { '&' } else { '?' });
                url.push_str(name);
                url.push('=');
                url.extend(form_urlencoded::byte_serialize(value.as_bytes()));
            }
        }
        let mut request = url
            .into_client_request()
            .map_err(|error| format!("{:?} is not the address of a gateway: {error}", self.url))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.options.token))
            .map_err(|_| "--token has characters that are not allowed in a token")?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok(request)
    }

    /// Classifies the gateway's answer that refused the connection.
    fn refused(&self, response: &Response) -> Result<Interruption, Failure> {
        let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
        let status = response.status();
        let what = format!("{} answers {status}: {}", self.url, body.trim());
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        if status.is_server_error() || status.as_u16() == 429 {
            return Ok(Interruption {
                after: retry_after.map(Duration::from_secs),
                ..Interruption::new(what)
            });
        }
        let advice = if matches!(code(&body).as_deref(), Some("TOKEN_EXPIRED" | "TOKEN_REVOKED")) {
            FRESH_TOKEN
        } else {
            ""
        };
        Err(format!("{what}{advice}").into())
    }
}

/// Advice about an invalid token.
pub(super) const FRESH_TOKEN: &str =
    "; get a fresh token, as `tidings token` prints one, for --token or TIDINGS_TOKEN";

fn code(body: &str) -> Option<String> {
    let body: Value = tidings_model::json::parse(body.as_bytes()).ok()?;
    Some(body.get("error")?.get("code")?.as_str()?.to_owned())
}

fn is_tls(error: &std::io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

/// The URL of the configured gateway on this machine. Certificates are for names rather than addresses, so over TLS
/// the host is `localhost`, unless the gateway listens on a specific external address.
fn default_url(gateway: &GatewayConfig) -> String {
    let address = gateway.listen;
    if gateway.tls_certificate.is_none() {
        format!("ws://{address}/api/ws")
    } else if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("wss://localhost:{}/api/ws", address.port())
    } else {
        format!("wss://{address}/api/ws")
    }
}

/// Chooses TLS or none, according to the URL.
fn connector(url: &str, options: &ListenOptions) -> Result<Connector, Failure> {
    if !url.starts_with("wss://") {
        return match options.ca {
            Some(_) => Err(format!("--ca is for URLs that begin with wss://, and {url} does not").into()),
            None => Ok(Connector::Plain),
        };
    }
    let trust = options.ca.as_deref().map_or(Trust::System, Trust::File);
    Ok(Connector::Rustls(Arc::new(trust.client_config()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_where_the_configuration_says() {
        for (listen, tls, url) in [
            ("127.0.0.1:8080", false, "ws://127.0.0.1:8080/api/ws"),
            ("127.0.0.1:8080", true, "wss://localhost:8080/api/ws"),
            ("[::]:8443", true, "wss://localhost:8443/api/ws"),
            ("[2001:db8::7]:8443", true, "wss://[2001:db8::7]:8443/api/ws"),
        ] {
            let tls_certificate = tls.then(|| "tls.crt".into());
            let listen = listen.parse().unwrap();
            let gateway = GatewayConfig { listen, tls_certificate, ..GatewayConfig::default() };
            assert_eq!(default_url(&gateway), url);
        }
    }
}
