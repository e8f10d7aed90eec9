//! `tidings listen`: a plain WebSocket client that prints one message per line.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tidings_protocol::server::SUBPROTOCOL;
use tidings_runtime::config::SecretRule;
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
    let url = options.url.clone().unwrap_or_else(|| format!("ws://{}/api/ws", config.gateway.listen));
    let subscribe = subscription(options)?;
    if options.token.is_empty() {
        return Err("the token is empty; `tidings token` prints one for --token or TIDINGS_TOKEN".into());
    }
    let (mut socket, _) = tokio_tungstenite::connect_async(request(&url, options)?)
        .await
        .map_err(|error| explain(&url, error))?;
    if let Some(subscribe) = subscribe {
        socket.send(Message::text(subscribe)).await?;
    }
    // Its answer comes when the subscription counts: whatever is published from then on is heard.
    socket.send(Message::text(r#"{"action":"ping"}"#)).await?;
    let mut is_announced = false;
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if !is_announced && is_pong(&text) => {
                // Not on standard output, which holds messages and nothing else.
                writeln!(std::io::stderr(), "tidings: listening at {url}; Ctrl-C ends")?;
                is_announced = true;
            }
            Some(Ok(Message::Text(text))) => {
                writeln!(std::io::stdout(), "{text}")?;
                left -= 1;
                // What was printed was received. Plain connections answer Pings for that.
                if let Some(sequence) = options.sequenced.then(|| sequence(&text)).flatten() {
                    socket
                        .send(Message::text(json!({ "action": "ack", "seq": sequence }).to_string()))
                        .await?;
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
    // The gateway answers with its own Close, behind the Pings that it still has to ask.
    while let Some(Ok(_)) = socket.next().await {}
    Ok(ExitCode::SUCCESS)
}

fn is_pong(message: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(message).is_ok_and(|message| message["action"] == "pong")
}

fn sequence(message: &str) -> Option<u64> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    message.get("seq")?.as_u64()
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
    if options.sequenced {
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
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
        Error::Io(error) => format!("cannot connect to {url}: {error}; is a gateway running there?").into(),
        other => format!("cannot connect to {url}: {other}").into(),
    }
}
