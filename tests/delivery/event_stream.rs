//! Clients without WebSockets: events over HTTP, and messages by requests.

use std::collections::VecDeque;
use std::time::Duration;

use harness::{BOUND, SECRET, System, token};
use reqwest::header::{HeaderMap, ORIGIN};
use serde_json::{Value, json};
use tokio::time::timeout;

/// An event stream, as a browser reads it.
struct Events {
    response: reqwest::Response,
    rest: String,
    came: VecDeque<Event>,
    /// The name of the connection.
    connection: String,
}

#[derive(Debug, Default)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Event {
    fn parse(text: &str) -> Option<Self> {
        let fields = |name: &str| -> Vec<&str> {
            text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
        };
        let data = fields("data").join("\n");
        if data.is_empty() {
            return None;
        }
        let data = serde_json::from_str(&data).unwrap();
        Some(Self { name: fields("event").concat(), id: fields("id").concat(), data })
    }
}

impl Events {
    async fn open(gateway: &str, token: &str, query: &str, last: Option<&str>) -> Self {
        let request = reqwest::Client::new().get(format!("{gateway}/api/sse?{query}")).bearer_auth(token);
        let request = last.into_iter().fold(request, |request, id| request.header("last-event-id", id));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let headers = response.headers();
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers["x-accel-buffering"], "no");
        assert_eq!(headers["cache-control"], "no-store, no-transform");
        let mut events =
            Self { response, rest: String::new(), came: VecDeque::new(), connection: String::new() };
        let open = events.next().await;
        assert_eq!(open.name, "open");
        open.data["connection"].as_str().unwrap().clone_into(&mut events.connection);
        events
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.came.pop_front() {
                return event;
            }
            let chunk = timeout(BOUND, self.response.chunk()).await.unwrap();
            let chunk = chunk.unwrap().unwrap();
            self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some((event, rest)) = self.rest.split_once("\n\n") {
                self.came.extend(Event::parse(event));
                self.rest = rest.into();
            }
        }
    }

    /// The event for which this holds; what comes before is passed over.
    async fn until(&mut self, holds: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await;
            if holds(&event) {
                return event;
            }
        }
    }

    async fn message(&mut self) -> Event {
        self.until(|event| event.name.is_empty()).await
    }
}

/// Sends a message to a connection; the status of the answer.
async fn send(gateway: &str, token: &str, connection: &str, message: &Value) -> u16 {
    let address = format!("{gateway}/api/messages?connection={connection}");
    let request = reqwest::Client::new().post(address).bearer_auth(token);
    request.body(message.to_string()).send().await.unwrap().status().as_u16()
}

async fn notify(system: &System, title: &str) {
    let data = json!({ "userId": "ada", "title": title, "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
}

#[tokio::test]
async fn an_event_stream_is_a_connection_like_others() {
    let mut system = System::start().await;
    let gateway = system.address().to_owned();
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let mut events = Events::open(&gateway, &ada, "device=phone", None).await;
    let welcome = events.next().await;
    assert_eq!((&*welcome.name, &welcome.data["action"]), ("control", &json!("welcome")));
    assert_eq!(welcome.data["consumer"], "ada/phone");
    assert_eq!(welcome.data["position"], json!(welcome.id));
    events.until(|event| event.data["action"] == "caught_up").await;
    notify(&system, "first").await;
    let first = events.message().await;
    assert_eq!(first.data["data"]["title"], "first");
    let (epoch, sequence) = first.id.split_once('-').unwrap();
    assert_eq!(first.data["seq"].to_string(), sequence);
    assert!(welcome.id.starts_with(epoch));

    // What the client says comes by requests, to any gateway; what it is answered comes as events.
    let connection = events.connection.clone();
    let subscribe = json!({ "action": "subscribe", "topics": ["incidents"], "id": "s" });
    assert_eq!(send(&gateway, &ada, &connection, &subscribe).await, 202);
    let subscribed = events.until(|event| event.data["action"] == "subscribed").await;
    assert_eq!(subscribed.data["original_message_id"], "s");
    let other = system.another_gateway(&[]).await;
    let ping = json!({ "action": "ping", "id": "p" });
    assert_eq!(send(&other.address, &ada, &connection, &ping).await, 202);
    assert_eq!(events.until(|event| event.data["action"] == "pong").await.data["original_message_id"], "p");
    let bo = token(SECRET, json!({ "tenant": "ops", "sub": "bo" }));
    for stranger in [&gateway, &other.address] {
        assert_eq!(send(stranger, &bo, &connection, &ping).await, 404, "it is another user's");
    }
    assert_eq!(send(&gateway, &ada, "gone.0.7", &ping).await, 404);
    assert_eq!(send(&gateway, &ada, "?", &ping).await, 400);

    // Away for a moment: what was missed comes, once, wherever it connects again.
    drop(events);
    notify(&system, "missed").await;
    let mut events = Events::open(&other.address, &ada, "device=phone", Some(&first.id)).await;
    assert_eq!(events.message().await.data["data"]["title"], "missed");
    notify(&system, "next").await;
    let next = events.message().await;
    assert_eq!(next.data["data"]["title"], "next");
    // Acknowledged, it does not come again to who names no position.
    let ack = json!({ "action": "ack", "seq": next.data["seq"] });
    assert_eq!(send(&gateway, &ada, &events.connection, &ack).await, 202);
    assert_eq!(send(&gateway, &ada, &events.connection, &ping).await, 202);
    events.until(|event| event.data["action"] == "pong").await;
    let mut again = Events::open(&gateway, &ada, "device=phone", None).await;
    let caught_up = again.until(|event| event.name.is_empty() || event.data["action"] == "caught_up").await;
    assert_eq!(caught_up.name, "control", "{caught_up:?}");

    // It is closed as others are, and says why.
    system.command(&["users", "disable", "--tenant", "ops", "--user", "ada"]).finish(BOUND).await.succeeded();
    let close = again.until(|event| event.name == "close").await;
    assert_eq!(close.data["code"], 4503);
    assert!(timeout(BOUND, again.response.chunk()).await.unwrap().unwrap().is_none(), "the stream ends");
    system.check_well();
}

#[tokio::test]
async fn an_event_stream_is_refused_with_a_status_that_pages_may_read() {
    let mut system = System::start().await;
    let get = async |token: Option<&str>, origin: &str| -> (u16, HeaderMap) {
        let request = reqwest::Client::new().get(format!("{}/api/sse", system.address()));
        let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        let response = request.header(ORIGIN, origin).timeout(Duration::from_secs(30)).send().await.unwrap();
        (response.status().as_u16(), response.headers().clone())
    };
    let (status, headers) = get(None, system.address()).await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (401, &system.address().parse().unwrap()));
    let (status, headers) = get(None, "https://evil.example").await;
    assert_eq!((status, headers.get("access-control-allow-origin")), (401, None));
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let (status, headers) = get(Some(&ada), system.address()).await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (200, &system.address().parse().unwrap()));
    let asked = reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, format!("{}/api/messages", system.address()));
    let asked = asked.header(ORIGIN, system.address()).send().await.unwrap();
    assert_eq!(
        (asked.status().as_u16(), &asked.headers()["access-control-allow-methods"]),
        (204, &"GET, POST".parse().unwrap())
    );
    system.check_well();
}
