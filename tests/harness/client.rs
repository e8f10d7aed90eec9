//! A WebSocket client that knows nothing of Tidings but its address, like the browsers and scripts that it serves.
//!
//! It answers WebSocket Pings by itself, whenever it is waiting for something.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::header::{
    AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL,
};
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::BOUND;
use crate::transport::{Stream, Transport};

/// A handshake in the making.
#[derive(Clone, Debug)]
pub struct Dial {
    url: Url,
    headers: HeaderMap,
    road: Transport,
}

impl Dial {
    /// To the gateway at this address, such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn new(gateway: &str) -> Self {
        let url =
            Url::parse(gateway).and_then(|url| url.join("/api/ws")).expect("the gateway's address is a URL");
        Self { url, headers: HeaderMap::new(), road: Transport::default() }
    }

    /// By another road than bare TCP.
    #[must_use]
    pub fn by(self, road: &Transport) -> Self {
        Self { road: road.clone(), ..self }
    }

    /// With `Authorization: Bearer <token>`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION, &format!("Bearer {token}"))
    }

    /// With the token as the cookie `session`.
    #[must_use]
    pub fn cookie(self, token: &str) -> Self {
        self.header(COOKIE, &format!("session={token}"))
    }

    /// As a browser that shows a page of this origin.
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        self.header(ORIGIN, origin)
    }

    /// With this subprotocol, such as `tidings.v1`.
    #[must_use]
    pub fn subprotocol(self, name: &str) -> Self {
        self.header(SEC_WEBSOCKET_PROTOCOL, name)
    }

    /// With this query parameter, such as `token`, `Authorization`, `device` or `since`.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_str(value).expect("a header's value is visible ASCII"));
        self
    }

    /// Connects. The test fails if the gateway refuses.
    pub async fn open(self) -> Client {
        self.try_open().await.unwrap_or_else(|Refusal { status, body, .. }| {
            panic!("the handshake was refused: {status} {body}")
        })
    }

    /// Connects, unless the gateway refuses.
    pub async fn try_open(self) -> Result<Client, Refusal> {
        let address = self.url.as_str().replacen("http", "ws", 1);
        let mut request = address.into_client_request().expect("the address is a WebSocket URL");
        request.headers_mut().extend(self.headers);
        let gateway = self.url.socket_addrs(|| None).expect("the gateway's address has numbers")[0];
        let connecting = async { client_async(request, self.road.open(gateway).await?).await };
        match within(BOUND, "the handshake", connecting).await {
            Ok((socket, response)) => {
                let subprotocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
                let subprotocol = subprotocol.map(|name| name.to_str().unwrap().to_owned());
                Ok(Client { socket, subprotocol })
            }
            Err(tungstenite::Error::Http(response)) => {
                let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                let (status, body) = (response.status().as_u16(), body.into_owned());
                Err(Refusal { status, headers: response.headers().clone(), body })
            }
            Err(error) => panic!("cannot connect to {address}: {error}", address = self.url),
        }
    }

    /// Expects that the gateway refuses, and says how. The test fails if it upgrades.
    pub async fn refused(self) -> Refusal {
        let exchange = async {
            // The key is the example of RFC 6455, section 1.3.
            let request = reqwest::Client::new()
                .get(self.url)
                .header("Connection", "Upgrade")
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
                .headers(self.headers);
            let response = request.send().await.expect("the gateway answers");
            let (status, headers) = (response.status(), response.headers().clone());
            assert_ne!(
                status,
                StatusCode::SWITCHING_PROTOCOLS,
                "the gateway accepts a handshake that it should refuse"
            );
            Refusal {
                status: status.as_u16(),
                headers,
                body: response.text().await.expect("the answer is complete"),
            }
        };
        within(BOUND, "the refusal", exchange).await
    }
}

/// The gateway's answer to a handshake that it does not accept.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

/// An open connection.
#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<Box<dyn Stream>>,
    subprotocol: Option<String>,
}

impl Client {
    /// The subprotocol that the gateway has chosen.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Sends a JSON value as a text frame.
    pub async fn send_json(&mut self, value: &Value) {
        self.send(Message::text(value.to_string())).await;
    }

    /// Sends any frame, for what no well-behaved client sends.
    pub async fn send(&mut self, message: Message) {
        within(BOUND, "sending", self.socket.send(message)).await.expect("the connection takes a frame");
    }

    /// The next message. The test fails if there is none within `bound`, or if it is no JSON text.
    pub async fn next_json(&mut self, bound: Duration) -> Value {
        parse(&self.next_text(bound).await)
    }

    /// The next message, byte for byte. The test fails if there is none within `bound`, or if it is no text.
    pub async fn next_text(&mut self, bound: Duration) -> String {
        match self.next(bound).await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("expected a text message, got {other:?}"),
        }
    }

    /// All messages until one for which `is_last` holds, that one included.
    pub async fn until(&mut self, bound: Duration, mut is_last: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + bound;
        let mut messages = Vec::new();
        loop {
            messages.push(self.next_json_before(deadline, &messages).await);
            if messages.last().is_some_and(&mut is_last) {
                return messages;
            }
        }
    }

    /// Proves that nothing was on its way to this client: sends a ping and expects the pong to be the next message.
    ///
    /// The gateway answers in the order of what it has already put into the connection's queue. An event may
    /// still be on its way *to* the gateway; await, on another connection, a message that follows it.
    pub async fn expect_nothing_before_pong(&mut self, bound: Duration) {
        self.send_json(&json!({ "action": "ping" })).await;
        let next = self.next_json(bound).await;
        assert_eq!(next["action"], "pong", "expected silence, got {next}");
    }

    /// The next message, or the code with which the connection ends as [`Self::close_code`] tells it.
    pub async fn next_json_or_close(&mut self, bound: Duration) -> Result<Value, Option<u16>> {
        match self.next(bound).await {
            Some(Message::Text(text)) => Ok(parse(&text)),
            Some(Message::Close(frame)) => Err(frame.map(|frame| frame.code.into())),
            Some(other) => panic!("expected a text message, got {other:?}"),
            None => Err(None),
        }
    }

    /// Reads on until the gateway closes the connection, whatever comes before. The code of its close frame, or `None` if the
    /// frame has none or the connection ends without one.
    pub async fn close_code(&mut self, bound: Duration) -> Option<u16> {
        let closed = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        within(bound, "the gateway's close", closed).await
    }

    /// The code and the reason with which the gateway closes the connection, before anything else comes.
    pub async fn closed(&mut self, bound: Duration) -> (u16, String) {
        match self.next(bound).await {
            Some(Message::Close(Some(frame))) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("expected a close with a code, got {other:?}"),
        }
    }

    /// Closes the connection and waits for the gateway's answer.
    pub async fn close(mut self) {
        // The gateway may have closed it already, which is as good.
        _ = within(BOUND, "the close frame", self.socket.close(None)).await;
        self.close_code(BOUND).await;
    }

    /// The next frame that is not a Ping or Pong; `None` when the connection has ended.
    async fn next(&mut self, bound: Duration) -> Option<Message> {
        within(bound, "a message", next_message(&mut self.socket)).await
    }

    async fn next_json_before(&mut self, deadline: Instant, seen: &[Value]) -> Value {
        let Ok(next) = timeout_at(deadline, next_message(&mut self.socket)).await else {
            panic!("the last message did not come in time, only {}", json!(seen))
        };
        match next {
            Some(Message::Text(text)) => parse(&text),
            other => panic!("expected a text message, got {other:?}, after {}", json!(seen)),
        }
    }
}

async fn next_message(socket: &mut WebSocketStream<Box<dyn Stream>>) -> Option<Message> {
    loop {
        match socket.next().await? {
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(message) => return Some(message),
            Err(error) => panic!("the connection is broken: {error}"),
        }
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
}

async fn within<T>(bound: Duration, what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(bound, future)
        .await
        .unwrap_or_else(|_elapsed| panic!("not within {bound:?}: {what}"))
}

#[cfg(test)]
mod tests;
