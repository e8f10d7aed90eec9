//! `tidings listen`: a WebSocket client that prints one message per line and acknowledges what it has
//! printed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tidings_access::Trust;
use tidings_protocol::server::SUBPROTOCOL;
use tidings_runtime::config::{GatewayConfig, SecretRule};
use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::arguments::ListenOptions;
use crate::failure::Failure;
use crate::serve;

/// Prints until the connection ends, or until the wanted number of messages has come.
pub(crate) async fn run(file: Option<&Path>, options: &ListenOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let url = options.url.clone().unwrap_or_else(|| default_url(&config.gateway));
    let subscribe = subscription(options)?;
    if options.token.is_empty() {
        return Err("the token is empty; `tidings token` prints one for --token or TIDINGS_TOKEN".into());
    }
    let (request, connector) = (request(&url, options)?, connector(&url, options)?);
    let (mut socket, _) =
        tokio_tungstenite::connect_async_tls_with_config(request, None, false, Some(connector))
            .await
            .map_err(|error| explain(&url, error))?;
    if let Some(subscribe) = subscribe {
        socket.send(Message::text(subscribe)).await?;
    }
    // Its answer comes when the subscription counts: whatever is published from then on is heard.
    socket.send(Message::text(r#"{"action":"ping"}"#)).await?;
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let heard = Heard::read(&text);
                if print(&heard, &text, options.sequenced, &url)? {
                    left -= 1;
                }
                // What was printed was received, and nothing else.
                if let Heard::Envelope { sequence, .. } = heard {
                    let acknowledgement = json!({ "action": "ack", "seq": sequence }).to_string();
                    socket.send(Message::text(acknowledgement)).await?;
                }
            }
            Some(Ok(Message::Close(Some(close)))) => {
                return Err(
                    format!("the gateway closed the connection: {} ({})", close.reason, close.code).into()
                );
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Err("the connection ended".into()),
        }
    }
    socket.close(None).await?;
    // The gateway's own Close says that the last acknowledgement has arrived.
    while let Some(Ok(_)) = socket.next().await {}
    Ok(ExitCode::SUCCESS)
}

/// What the gateway says in `tidings.v1`.
enum Heard {
    /// A message, with the body as a plain client gets it.
    Envelope { sequence: u64, body: String },
    /// The answer to `ping`.
    Pong,
    /// The gateway's own word: `welcome`, `caught_up`, …
    Control,
    /// An error, or the answer to a request.
    Answer,
}

impl Heard {
    fn read(text: &str) -> Self {
        if let Some((sequence, body)) = without_sequence(text) {
            return Self::Envelope { sequence, body };
        }
        let message = tidings_model::json::parse(text.as_bytes()).unwrap_or_default();
        match message.get("action").and_then(Value::as_str) {
            Some("pong") => Self::Pong,
            Some(_) if message.get("type").is_none() => Self::Control,
            _ => Self::Answer,
        }
    }
}

/// Prints what a user of this command wants to see; says whether it counts as a message.
fn print(heard: &Heard, text: &str, everything: bool, url: &str) -> std::io::Result<bool> {
    let mut out = std::io::stdout();
    match heard {
        // Not on standard output, which holds messages and nothing else.
        Heard::Pong => {
            writeln!(std::io::stderr(), "tidings: listening at {url}; Ctrl-C ends").map(|()| false)
        }
        Heard::Control if everything => writeln!(out, "{text}").map(|()| false),
        Heard::Control if text.starts_with(r#"{"action":"gap""#) => {
            writeln!(std::io::stderr(), "tidings: some messages cannot be delivered: {text}").map(|()| false)
        }
        Heard::Control => Ok(false),
        Heard::Envelope { body, .. } if !everything => writeln!(out, "{body}").map(|()| true),
        Heard::Envelope { .. } | Heard::Answer => writeln!(out, "{text}").map(|()| true),
    }
}

/// Takes off what `tidings.v1` puts in front of a body: `{"seq":7,"id":"e-1","a":1}` is `{"a":1}`.
fn without_sequence(text: &str) -> Option<(u64, String)> {
    let (sequence, rest) = text.strip_prefix(r#"{"seq":"#)?.split_once(',')?;
    let rest = rest.strip_prefix(r#""id":"#)?;
    let mut id = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    id.next()?.ok()?;
    let rest = rest.get(id.byte_offset()..)?;
    Some((sequence.parse().ok()?, format!("{{{}", rest.strip_prefix(',').unwrap_or(rest))))
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

fn request(url: &str, options: &ListenOptions) -> Result<Request, Failure> {
    let url = match &options.device {
        None => url.to_owned(),
        Some(device) => {
            let separator = if url.contains('?') { '&' } else { '?' };
            let device: String = form_urlencoded::byte_serialize(device.as_bytes()).collect();
            format!("{url}{separator}device={device}")
        }
    };
    let mut request = url.into_client_request()?;
    let bearer = HeaderValue::from_str(&format!("Bearer {}", options.token))
        .map_err(|_| "--token has characters that no token has")?;
    request.headers_mut().insert(AUTHORIZATION, bearer);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(request)
}

fn subscription(options: &ListenOptions) -> Result<Option<String>, Failure> {
    let mut filters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for filter in &options.filter {
        let wrong =
            || format!("--filter {filter:?} is not of the form name=value, such as environment=production");
        let (name, value) = filter.split_once('=').ok_or_else(wrong)?;
        filters.entry(name).or_default().push(value);
    }
    match (options.topic.is_empty(), filters.is_empty()) {
        (true, true) => Ok(None),
        (true, false) => Err("--filter narrows topics; name them with --topic".into()),
        (false, true) => Ok(Some(json!({ "action": "subscribe", "topics": options.topic }).to_string())),
        (false, false) => {
            let message = json!({ "action": "subscribe", "topics": options.topic, "filters": filters });
            Ok(Some(message.to_string()))
        }
    }
}

/// What the gateway said instead of accepting the connection.
fn explain(url: &str, error: Error) -> Failure {
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let body = String::from_utf8_lossy(body);
            format!("{url} answers {}: {}", response.status(), body.trim()).into()
        }
        Error::Io(error)
            if error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some() =>
        {
            format!("cannot connect to {url}: {error}; --ca names a file of certificates to trust").into()
        }
        Error::Io(error) => format!("cannot connect to {url}: {error}; is a gateway running there?").into(),
        other => format!("cannot connect to {url}: {other}").into(),
    }
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

    #[test]
    fn bodies_are_printed_as_plain_clients_get_them() {
        for (text, sequence, body) in [
            (r#"{"seq":7,"id":"e-1","a":1.50}"#, 7, r#"{"a":1.50}"#),
            (r#"{"seq":7,"id":"a\"},{","id":"own"}"#, 7, r#"{"id":"own"}"#),
            (r#"{"seq":1,"id":""}"#, 1, "{}"),
        ] {
            assert_eq!(without_sequence(text), Some((sequence, body.to_owned())), "{text}");
        }
        for text in ["{}", r#"{"seq":7}"#, r#"{"id":"x","seq":7}"#, r#"{"seq":7,"id":7,"a":1}"#, "[]"] {
            assert_eq!(without_sequence(text), None, "{text}");
        }
    }
}
