//! Publishing events over HTTP, end to end: who may, what becomes of it, and that it becomes that once.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers fail a test by panicking"
)]

mod batches;
mod described;
mod failed_delivery;
mod keys;
mod languages;
mod limits;
mod modes;
mod outages;
mod refusals;
mod repetitions;
mod rights;
mod scheduled;

use async_nats::jetstream::{self, message::StreamMessage};
use harness::{BOUND, Client, SECRET, System, token};
use serde_json::{Value, json};

/// An answer of the gateway.
#[derive(Debug)]
struct Answer {
    status: u16,
    retry_after: Option<String>,
    body: Value,
}

impl Answer {
    /// The answer, which is good.
    #[track_caller]
    fn good(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Status and code of the error.
    fn code(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_else(|| panic!("no code in {}", self.body)))
    }
}

/// A request to publish.
#[derive(Debug, Clone)]
struct Post<'r> {
    address: &'r str,
    path: &'r str,
    bearer: String,
    headers: Vec<(&'r str, String)>,
    body: Vec<u8>,
}

impl<'r> Post<'r> {
    fn to(address: &'r str, bearer: &str) -> Self {
        let path = "/api/v1/events";
        Self { address, path, bearer: bearer.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// `/api/v1/events/<name>`.
    fn event(self, path: &'r str) -> Self {
        Self { path, ..self }
    }

    fn header(mut self, name: &'r str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With this body, and the type that says so.
    fn body(self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }.header("Content-Type", kind)
    }

    fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    fn cloud_event(self, body: &Value) -> Self {
        self.body("application/cloudevents+json", body.to_string())
    }

    fn batch(self, body: &[Value]) -> Self {
        self.body("application/cloudevents-batch+json", json!(body).to_string())
    }

    /// Sends it; an error, if the connection ends before an answer.
    async fn try_send(&self) -> Result<Answer, String> {
        let url = match self.path.strip_prefix('/') {
            Some(_) => format!("{}{}", self.address, self.path),
            None => format!("{}/api/v1/events/{}", self.address, self.path),
        };
        let request = reqwest::Client::new().post(url).bearer_auth(&self.bearer).body(self.body.clone());
        let request =
            self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let exchange = async {
            let response = request.send().await.map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            let retry_after =
                response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            let text = response.text().await.map_err(|error| error.to_string())?;
            let body =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status}: {error}: {text:?}"));
            Ok(Answer { status, retry_after, body })
        };
        tokio::time::timeout(BOUND, exchange).await.expect("the gateway answers in time")
    }

    async fn send(&self) -> Answer {
        self.try_send().await.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A token of the tenant `ops` that may publish, with these claims besides.
fn producer(more: &Value) -> String {
    let mut claims = json!({ "tenant": "ops", "sub": "incidents", "scope": "tidings:publish" });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    token(SECRET, claims)
}

/// What an incident says.
fn incident(id: &str) -> Value {
    json!({ "id": id, "jira_id": "I", "title": "t", "severity": "low", "status": "open", "squad": "s" })
}

/// The same as a CloudEvent with an id of its own.
fn cloud_event(id: &str, incident_id: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/incidents", "type": "incident.created",
        "time": "2025-01-17T10:30:00Z", "data": incident(incident_id),
    })
}

/// Somebody who receives incidents.
async fn listener(system: &System) -> Client {
    system.subscribed(json!({ "tenant": "ops", "sub": "ada" }), &["incidents"], json!({})).await
}

/// The ids of the incidents that come until `end`, which is published here.
async fn incidents_until_end(system: &System, listener: &mut Client) -> Vec<String> {
    system.publish("ops", "incident.created", &incident("end")).await;
    let messages = listener.until(BOUND, |message| message["data"]["id"] == "end").await;
    let ids = messages.iter().filter_map(|message| message["data"]["id"].as_str().map(str::to_owned));
    ids.filter(|id| id != "end").collect()
}

/// Everything in `EVENTS`, in order.
async fn events(system: &System) -> Vec<StreamMessage> {
    let stream = jetstream::new(system.client().clone()).get_stream("EVENTS").await.unwrap();
    let mut events = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        events.push(stream.get_raw_message(sequence).await.unwrap());
    }
    events
}
