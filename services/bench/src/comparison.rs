//! A server that serves a returning user as the gateway does, but reads from a JetStream consumer of the user's own:
//! the same handshake, the same check of the token, the same frames.
//!
//! It does less than a product would have to: it knows how many envelopes wait, keeps no record of connections, and
//! delivers nothing live.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use async_nats::jetstream::Message as Stored;
use async_nats::jetstream::stream::Stream;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tidings_access::{Asking, Issuer, Policy, Rules, SigningSecret, Transport, Verifier};
use tidings_model::{Envelope, headers};
use tidings_protocol::server::SUBPROTOCOL;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_util::task::TaskTracker;

use crate::arguments::{ComparisonOptions, Source};
use crate::deployment::SECRET;
use crate::failure::Failure;
use crate::per_user;

/// What all connections share.
struct Shared {
    stream: Stream,
    verifier: Verifier,
    source: Source,
    missed: u64,
}

/// Serves until it is killed.
pub(crate) async fn serve(options: &ComparisonOptions) -> Result<(), Failure> {
    let client = async_nats::connect(&options.nats).await?;
    let issuer = Issuer::with_secret(&SigningSecret::new(SECRET)?);
    let shared = Arc::new(Shared {
        stream: per_user::envelopes(&client).await?,
        verifier: Verifier::new(vec![issuer], Policy::default()),
        source: options.source,
        missed: options.missed,
    });
    let listener = listen(options.listen)?;
    let tasks = TaskTracker::new();
    loop {
        let (socket, _) = listener.accept().await?;
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            // A readiness check is no WebSocket; its failure is ignored. All other connections must succeed.
            if let Err(failure) = serve_user(socket, &shared).await {
                eprintln!("a user was not served: {failure}");
            }
        });
    }
}

/// Listens as the gateway does: with a backlog for many simultaneous connections.
fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket.listen(1024)?)
}

async fn serve_user(socket: TcpStream, shared: &Shared) -> Result<(), Failure> {
    socket.set_nodelay(true)?;
    let mut is_probe = [0; 11];
    if socket.peek(&mut is_probe).await? == is_probe.len() && is_probe == *b"GET /readyz" {
        socket.writable().await?;
        socket.try_write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(());
    }
    let mut user = String::new();
    let admit = |request: &Request, mut response: Response| match admit(request, shared) {
        Ok(subject) => {
            user = subject;
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
            Ok(response)
        }
        Err(failure) => Err(refusal(&failure.to_string())),
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(socket, admit).await?;

    let messages = per_user::read(&shared.stream, shared.source, &user, shared.missed).await?;
    for message in &messages {
        socket.feed(Message::Text(sequenced(message)?)).await?;
    }
    socket.feed(Message::text(json!({ "action": "caught_up" }).to_string())).await?;
    socket.flush().await?;

    // The client's first message is its acknowledgement.
    if let Some(heard) = socket.next().await {
        heard?;
    }
    if let (Source::Durable, Some(last)) = (shared.source, messages.last()) {
        last.ack().await?;
    }
    while let Some(Ok(_)) = socket.next().await {}
    Ok(())
}

fn admit(request: &Request, shared: &Shared) -> Result<String, Failure> {
    let (headers, query) = (request.headers(), request.uri().query());
    let asking = Asking { headers, query, transport: Transport::Unknown };
    let token = tidings_access::find(asking, &Rules::default())?;
    Ok(shared.verifier.verify_known(&token, SystemTime::now())?.subject)
}

fn refusal(reason: &str) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(reason.to_owned()));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// The body with `seq` and `id` in front, as clients of `tidings.v1` receive it.
fn sequenced(message: &Stored) -> Result<Utf8Bytes, Failure> {
    let sequence = message.info()?.stream_sequence;
    let event = message.headers.as_ref().and_then(|map| map.get(headers::EVENT));
    let (_, id) = event.and_then(|event| Envelope::parse_event(event.as_str())).unwrap_or_default();
    let body = std::str::from_utf8(&message.payload)?;
    let members = body.strip_prefix('{').ok_or("the body is no JSON object")?;
    Ok(format!(r#"{{"seq":{sequence},"id":{},{members}"#, json!(id)).into())
}
