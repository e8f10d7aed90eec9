//! Opening a connection, and what it means that it is not opened.

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

use super::Interruption;
use crate::arguments::ListenOptions;
use crate::failure::Failure;

/// How long a gateway may take to open a connection.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where to connect, and as whom.
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

    /// Opens a connection that continues after a position, else where the device stands. Whether it is worth trying
    /// again is in the inner result.
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
            .map_err(|error| format!("{:?} is no address of a gateway: {error}", self.url))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.options.token))
            .map_err(|_| "--token has characters that no token has")?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok(request)
    }

    /// What the gateway said instead of accepting the connection.
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

/// What to do about a token that counts no more.
pub(super) const FRESH_TOKEN: &str =
    "; get a fresh token, as `tidings token` prints one, for --token or TIDINGS_TOKEN";

fn code(body: &str) -> Option<String> {
    let body: Value = tidings_model::json::parse(body.as_bytes()).ok()?;
    Some(body.get("error")?.get("code")?.as_str()?.to_owned())
}

fn is_tls(error: &std::io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

/// The gateway that the configuration describes, on this machine. A certificate vouches for a name rather than for an
/// address, so over TLS it is called `localhost`, unless it listens at one address that others reach.
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

/// TLS or none, as the URL says.
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
