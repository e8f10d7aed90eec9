//! What a client finds at the address of the gateways, through every proxy in between.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::header::{AUTHORIZATION, CONNECTION, DATE, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use tidings_model::{EventName, Tenant, json};
use tidings_streams::Client;
use tidings_streams::connections::{ConnectionName, Operation, ask_about};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::http::{Answer, Http};
use crate::canary;
use crate::failure::{Failure, line};
use crate::users::operator;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// The user that connects, if the token is signed here.
pub(super) const USER: &str = "tidings-doctor";
/// The device that connects.
const DEVICE: &str = "tidings-doctor";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EdgeFacts {
    /// Where clients connect.
    pub(super) url: String,
    /// Whether it was named, rather than guessed.
    pub(super) is_named: bool,
    pub(super) ready: Result<Ready, String>,
    /// The status and code with which a handshake without a token is answered.
    pub(super) handshake: Option<(u16, String)>,
    pub(super) stream: Option<EventStream>,
    /// What became of an event of its own; `None` if none was sent.
    pub(super) canary: Option<Canary>,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) status: u16,
    pub(super) text: String,
    /// How far its clock is ahead of that of this machine, to the second.
    pub(super) skew: Option<time::Duration>,
}

/// What came of asking for an event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EventStream {
    /// Events come as they are sent.
    Opened {
        /// The client's address, as the gateway sees it, and as this machine does.
        addresses: Option<(IpAddr, IpAddr)>,
    },
    /// The request was accepted, or taken, and nothing came.
    Held,
    /// It was refused, with this status and code.
    Refused(u16, String),
}

/// What became of an event of the doctor's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Canary {
    /// Its message came.
    Came,
    /// It could not be published.
    NotSent(String),
    /// It was stored, and no message came in this time.
    Missing(Duration),
}

/// Who connects.
pub(super) struct Visitor {
    pub(super) tenant: Tenant,
    pub(super) token: String,
    /// The event of the tenant's canary, if this visitor may have one.
    pub(super) canary: Option<EventName>,
}

/// Looks. Addresses are compared by what gateways say over NATS.
pub(super) async fn look(
    http: &Http,
    (url, is_named): (&str, bool),
    visitor: Option<&Visitor>,
    client: Option<&Client>,
) -> EdgeFacts {
    let (url, base) = (url.to_owned(), base(url));
    let ready = match tokio::time::timeout(PATIENCE, readiness(http, &base)).await {
        Ok(Ok(ready)) => Ok(ready),
        Ok(Err(error)) => Err(line(&*error)),
        Err(_) => Err(format!("there was no answer within {PATIENCE:?}")),
    };
    if ready.as_ref().map_or(true, |ready| ready.status != 200) {
        return EdgeFacts { url, is_named, ready, handshake: None, stream: None, canary: None };
    }
    let handshaking = async {
        let answered = tokio::time::timeout(PATIENCE, handshake(http, &base)).await;
        answered.ok()?.ok()
    };
    let streaming = async {
        let Some(visitor) = visitor else { return (None, None) };
        match tokio::time::timeout(PATIENCE, event_stream(http, &base, visitor, client)).await {
            Ok(Ok((stream, open))) => {
                let canary = match (open, client, &visitor.canary) {
                    (Some(open), Some(client), Some(event)) => {
                        Some(sing(client, &visitor.tenant, event, open).await)
                    }
                    _ => None,
                };
                (Some(stream), canary)
            }
            Ok(Err(_)) => (None, None),
            Err(_) => (Some(EventStream::Held), None),
        }
    };
    let (handshake, (stream, canary)) = tokio::join!(handshaking, streaming);
    EdgeFacts { url, is_named, ready, handshake, stream, canary }
}

/// The address without the path of WebSockets, for HTTP.
fn base(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let url = url.strip_suffix("/api/ws").unwrap_or(url);
    match url.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        _ => url.to_owned(),
    }
}

async fn readiness(http: &Http, base: &str) -> Result<Ready, Failure> {
    let answer = http.get(&format!("{base}/readyz"), []).await?;
    let (status, now) = (answer.status.as_u16(), OffsetDateTime::now_utc());
    let date = answer.headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(http_date);
    let text = String::from_utf8_lossy(&answer.text().await?).trim().chars().take(300).collect();
    Ok(Ready { status, text, skew: date.map(|date| date - now) })
}

/// Reads the time that a `Date` names; half a second is what it leaves out on average.
fn http_date(text: &str) -> Option<OffsetDateTime> {
    let date = OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok()?;
    Some(date + time::Duration::milliseconds(500))
}

/// Asks for a WebSocket without a token: a gateway that hears of it refuses the token.
async fn handshake(http: &Http, base: &str) -> Result<(u16, String), Failure> {
    const HEADERS: [(HeaderName, &str); 4] = [
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_KEY, "dGlkaW5ncy1kb2N0b3IhIQ=="),
    ];
    let headers = HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
    let answer = http.get(&format!("{base}/api/ws"), headers).await?;
    let status = answer.status.as_u16();
    Ok((status, code(&answer.text().await?)))
}

async fn event_stream(
    http: &Http,
    base: &str,
    visitor: &Visitor,
    client: Option<&Client>,
) -> Result<(EventStream, Option<Answer>), Failure> {
    let mut token = HeaderValue::from_str(&format!("Bearer {}", visitor.token))?;
    token.set_sensitive(true);
    let url = format!("{base}/api/sse?device={DEVICE}");
    let mut answer = http.get(&url, [(AUTHORIZATION, token)]).await?;
    if !answer.status.is_success() {
        let status = answer.status.as_u16();
        return Ok((EventStream::Refused(status, code(&answer.text().await?)), None));
    }
    let opened = answer.until("event: open\ndata: ").await?;
    let opened = json::parse(opened.as_bytes())?;
    let name = opened.get("connection").and_then(Value::as_str).unwrap_or_default();
    let seen = match (client, name.parse::<ConnectionName>()) {
        (Some(client), Ok(name)) => seen_address(client, &visitor.tenant, name).await,
        _ => None,
    };
    Ok((EventStream::Opened { addresses: seen.zip(answer.own) }, Some(answer)))
}

/// Sends an event, and waits for its message on the open event stream.
async fn sing(client: &Client, tenant: &Tenant, event: &EventName, mut open: Answer) -> Canary {
    let id = uuid::Uuid::now_v7().to_string();
    match tokio::time::timeout(PATIENCE, canary::send(client, tenant, event, (&id, USER))).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Canary::NotSent(line(&*error)),
        Err(_) => return Canary::NotSent(format!("it was not stored within {PATIENCE:?}")),
    }
    match tokio::time::timeout(PATIENCE, open.until(&id)).await {
        Ok(Ok(_)) => Canary::Came,
        _ => Canary::Missing(PATIENCE),
    }
}

/// The client's address, as the gateway of the connection reports it.
async fn seen_address(client: &Client, tenant: &Tenant, name: ConnectionName) -> Option<IpAddr> {
    let mut reports = ask_about(client, Operation::List, tenant, name, operator());
    reports.next().await?.ok()?.address.parse().ok()
}

/// The code in a gateway's answer; empty in that of anybody else.
fn code(body: &[u8]) -> String {
    let code = json::parse(body).ok().and_then(|body| Some(body.get("code")?.as_str()?.to_owned()));
    code.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn requests_go_where_websockets_do() {
        assert_eq!(base("ws://127.0.0.1:8080/api/ws"), "http://127.0.0.1:8080");
        assert_eq!(base("wss://example.com/notes/api/ws/"), "https://example.com/notes");
        assert_eq!(base("https://example.com"), "https://example.com");
    }

    #[test]
    fn dates_of_http_are_read() {
        let date = datetime!(1994-11-06 08:49:37.5 UTC);
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(date));
        assert_eq!(http_date("yesterday"), None);
    }
}
