//! Producers: one for each tenant, which publishes one event after another and tries each again until it is stored: over NATS,
//! or over HTTP, alone or in a batch.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, HeaderMap};
use harness::{SECRET, token};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use crate::deployment::{Deployment, TENANTS, USERS, user};
use crate::ledger::{Ledger, Line};

/// Between two events of a tenant.
const PACE: Duration = Duration::from_millis(40);
/// How long a server or a gateway may take to answer before another is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most events of a batch.
const BATCH: usize = 5;

pub(crate) struct Producers {
    tasks: JoinSet<Result<(), String>>,
    ends: Arc<AtomicBool>,
}

/// Starts them, each connected to every server.
pub(crate) async fn start(ledger: &Arc<Ledger>, deployment: &Deployment, seed: u64) -> Producers {
    let ends = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for (number, tenant) in TENANTS.into_iter().enumerate() {
        let mut servers = Vec::new();
        for url in deployment.servers.urls() {
            let options = ConnectOptions::new().ping_interval(Duration::from_secs(1));
            servers.push(jetstream::new(options.connect(url).await.unwrap()));
        }
        let producer = Producer {
            ledger: Arc::clone(ledger),
            tenant,
            servers,
            gateways: deployment.gateways(),
            http: reqwest::Client::new(),
            random: fastrand::Rng::with_seed(seed ^ ((number as u64 + 1) << 32)),
            turn: 0,
        };
        tasks.spawn(producer.run(Arc::clone(&ends)));
    }
    Producers { tasks, ends }
}

impl Producers {
    /// Waits until each has stored its last event. What was refused for good.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        self.ends.store(true, Ordering::Relaxed);
        let mut refused = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            refused.extend(ended.unwrap().err());
        }
        refused
    }
}

struct Producer {
    ledger: Arc<Ledger>,
    tenant: &'static str,
    servers: Vec<Context>,
    gateways: Vec<SocketAddr>,
    http: reqwest::Client,
    random: fastrand::Rng,
    /// Which server or gateway is asked; the next one after each failure.
    turn: usize,
}

/// An event that is being published.
struct Event {
    line: Line,
    number: u64,
    name: &'static str,
    id: String,
    data: Value,
}

impl Producer {
    async fn run(mut self, ends: Arc<AtomicBool>) -> Result<(), String> {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !ends.load(Ordering::Relaxed) {
            pace.tick().await;
            match self.random.u8(..9) {
                0 => {
                    let count = self.random.usize(2..=BATCH);
                    let events: Vec<_> = (0..count).map(|_| self.begin()).collect();
                    self.post(&events).await?;
                }
                1 | 2 => {
                    let event = self.begin();
                    self.post(&[event]).await?;
                }
                _ => {
                    let event = self.begin();
                    self.publish(&event).await;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Event {
        let is_personal = self.random.u8(..4) > 0;
        let (name, user) = if is_personal {
            ("note.made", user(self.random.usize(..USERS)))
        } else {
            ("news.made", String::new())
        };
        let line: Line = (self.tenant.to_owned(), user);
        let number = self.ledger.begin(&line);
        let data = json!({ "user": line.1, "number": number });
        let id = format!("{}-{}-{number}", line.0, line.1);
        Event { line, number, name, id, data }
    }

    /// Publishes over NATS until it is stored.
    async fn publish(&mut self, event: &Event) {
        loop {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", event.id.as_str());
            let subject = format!("events.{}.{}", self.tenant, event.name);
            let server = &self.servers[self.turn % self.servers.len()];
            let stored = async {
                let sent = server.publish_with_headers(subject, headers, event.data.to_string().into()).await;
                match sent {
                    Ok(sent) => sent.await.is_ok(),
                    Err(_) => false,
                }
            };
            if timeout(PATIENCE, stored).await.unwrap_or(false) {
                break;
            }
            self.turn += 1;
            sleep(PACE).await;
        }
        self.ledger.stored(&event.line, event.number);
    }

    /// Posts these events until they are stored, or refused for good, which no event of these may be.
    async fn post(&mut self, events: &[Event]) -> Result<(), String> {
        loop {
            let gateway = self.gateways[self.turn % self.gateways.len()];
            let request = self.request(gateway, events);
            let exchange = async {
                let response = request.send().await?;
                let status = response.status().as_u16();
                Ok::<_, reqwest::Error>((status, response.text().await?))
            };
            match timeout(PATIENCE, exchange).await {
                Ok(Ok((200, answer))) => {
                    check(&answer, events)?;
                    break;
                }
                // Nothing is known, or the gateway says to come again.
                Err(_) | Ok(Err(_) | Ok((429 | 503, _))) => {}
                Ok(Ok((status, answer))) => {
                    return Err(format!("{} was answered with {status}: {answer}", events[0].id));
                }
            }
            self.turn += 1;
            sleep(PACE).await;
        }
        for event in events {
            self.ledger.stored(&event.line, event.number);
        }
        Ok(())
    }

    fn request(&self, gateway: SocketAddr, events: &[Event]) -> RequestBuilder {
        let url = format!("http://{gateway}/api/v1/events");
        let claims = json!({ "tenant": self.tenant, "sub": "producer", "scope": "tidings:publish" });
        let request = if let [event] = events {
            self.http
                .post(format!("{url}/{}", event.name))
                .header("Content-Type", "application/json")
                .header("Idempotency-Key", &event.id)
                .body(event.data.to_string())
        } else {
            let batch = events.iter().map(|Event { name, id, data, .. }| {
                json!({ "specversion": "1.0", "source": "/faults", "id": id, "type": name, "data": data })
            });
            self.http
                .post(url)
                .header("Content-Type", "application/cloudevents-batch+json")
                .body(batch.collect::<Value>().to_string())
        };
        request.bearer_auth(token(SECRET, claims))
    }
}

/// Whether an answer says of each event where it is stored.
fn check(answer: &str, events: &[Event]) -> Result<(), String> {
    let body: Value = serde_json::from_str(answer).unwrap_or_default();
    let stored = body["events"].as_array().cloned().unwrap_or_else(|| vec![body]);
    let is_stored =
        |(stored, event): (&Value, &Event)| stored["id"] == event.id.as_str() && stored["sequence"].is_u64();
    if stored.len() == events.len() && stored.iter().zip(events).all(is_stored) {
        return Ok(());
    }
    let ids: Vec<_> = events.iter().map(|event| &event.id).collect();
    Err(format!("of {ids:?} the answer 200 says: {answer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> Event {
        let line = (String::new(), String::new());
        Event { line, number: 1, name: "note.made", id: id.to_owned(), data: Value::Null }
    }

    #[test]
    fn an_answer_names_every_event() {
        let both = [event("a"), event("b")];
        let one = &both[..1];
        for (answer, events, is_good) in [
            (r#"{"id":"a","sequence":1}"#, one, true),
            (r#"{"id":"b","sequence":1}"#, one, false),
            (r#"{"id":"a","sequence":null}"#, one, false),
            ("", one, false),
            (r#"{"events":[{"id":"a","sequence":1},{"id":"b","sequence":2}]}"#, &both[..], true),
        ] {
            assert_eq!(check(answer, events).is_ok(), is_good, "{answer}");
        }
    }
}
