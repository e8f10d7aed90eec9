//! Each of the five systems: every example becomes exactly the message beside it, for exactly those who hold a key.
//!
//! Whoever may listen is in the room at once: one client for each address of the examples, some that hold several keys, and
//! some that hold others. For each of them the whole of what it receives is compared, in order, up to a marker that
//! is addressed to it alone and published last. In whatever form an example is published, the same envelopes are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use async_nats::{HeaderMap, Subscriber, jetstream};
use futures_util::StreamExt as _;
use harness::{BOUND, Client, SCHEMAS, Setup, System};
use serde_json::{Value, json};
use tokio::time::timeout;

#[tokio::test]
async fn incident_command() {
    let listeners = vec![
        Listener::new("cnc", json!({ "sub": "ada", "orgId": "org-ridge-county-sar" })),
        Listener::new("cnc", json!({ "sub": "bo", "orgId": "..." })),
        // Several organisations, one of them the examples'.
        Listener::new("cnc", json!({ "sub": "cy", "orgId": ["org-2", "org-ridge-county-sar"] })),
        Listener::new("cnc", json!({ "sub": "dee", "orgId": "org-2" })),
        Listener::new("cnc", json!({ "sub": "org-ridge-county-sar", "orgId": "org-3" })),
        Listener::new("ops", json!({ "sub": "ada", "orgId": "org-ridge-county-sar" })),
    ];
    // A client without any key can be sent no marker; with a single shard its pong follows everybody's messages.
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__WORKERS", "1").start().await;
    let mut keyless = system.open(json!({ "tenant": "cnc", "sub": "eve" })).await;
    check(&system, "cnc", listeners).await;
    keyless.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}

#[tokio::test]
async fn ops_control() {
    let topics = ["incidents", "tasks", "assets", "alerts", "metrics", "notifications"];
    let mut listeners = vec![
        // Who asks for nothing receives what the contract lists.
        Listener::new("ops", json!({ "sub": "ada" })),
        Listener::new("ops", json!({ "sub": "john.doe@example.com" })).topics(&["notifications"]),
        Listener::new("ops", json!({ "sub": "bo" })).topics(&topics),
        Listener::new("ops", json!({ "sub": "john" })),
        Listener::new("uploads", json!({ "sub": "ada" })),
    ];
    listeners.extend(topics.map(|topic| Listener::new("ops", json!({ "sub": topic })).topics(&[topic])));
    check_fresh("ops", listeners).await;
}

#[tokio::test]
async fn shelter() {
    let listener = |claims| Listener::new("shelter", claims);
    let listeners = vec![
        listener(json!({ "sub": "ada" })),
        listener(json!({ "sub": "bo", "role": "first_responder" })),
        listener(json!({ "sub": "cy", "role": "emergency_coordinator" })),
        listener(json!({ "sub": "dee", "role": "shelter_operator", "shelterId": "s9" })),
        listener(json!({ "sub": "eve", "shelterId": "s4" })),
        // Reached through several destinations at once, each message still comes once.
        listener(
            json!({ "sub": "flo", "role": ["first_responder", "emergency_coordinator"], "shelterId": "s9" }),
        ),
        listener(json!({ "sub": "gus", "role": "responder", "shelterId": "s" })),
        listener(json!({ "sub": "s9", "role": "s9", "shelterId": "ada" })),
        Listener::new("uploads", json!({ "sub": "ada", "role": "first_responder", "shelterId": "s9" })),
    ];
    check_fresh("shelter", listeners).await;
}

#[tokio::test]
async fn uploads() {
    let listeners = vec![
        Listener::new("uploads", json!({ "sub": "ada" })),
        // The same user on a second device.
        Listener::new("uploads", json!({ "sub": "ada" })),
        Listener::new("uploads", json!({ "sub": "bo", "role": "ada", "orgId": "ada" })),
        Listener::new("documents", json!({ "sub": "ada" })),
    ];
    check_fresh("uploads", listeners).await;
}

#[tokio::test]
async fn documents() {
    let listeners = vec![
        Listener::new("documents", json!({ "sub": "ada" })),
        Listener::new("documents", json!({ "sub": "Ada" })),
        Listener::new("uploads", json!({ "sub": "ada" })),
        Listener::new("shelter", json!({ "sub": "ada", "role": "ada" })),
    ];
    check_fresh("documents", listeners).await;
}

#[tokio::test]
async fn numbers_keep_their_digits() {
    let mut system = System::start().await;
    let mut client =
        system.subscribed(json!({ "tenant": "ops", "sub": "ada" }), &["metrics"], json!({})).await;
    // Beyond what a double can hold, and in spellings that a double does not keep.
    let data = r#"{"metric_name":"m","value":99.50,"timestamp":"t","metadata":{"z":184467440737095516160,"a":[1.0,-0,1E-7,0.10]}}"#;
    system.publish_raw("events.ops.metric.updated", HeaderMap::new(), data).await;
    let text = client.next_text(BOUND).await;
    assert!(text.contains(&data.replace("1E-7", "1e-7")) || text.contains(data), "{text}");
    system.check_well();
}

#[tokio::test]
async fn an_event_is_known_by_its_source_and_id() {
    let mut system = System::start().await;
    let mut client = system.open(json!({ "tenant": "shelter", "sub": "ada" })).await;
    let said = [
        ("/a/b", "c", "first"),
        // The same event again: it has been delivered.
        ("/a/b", "c", "again"),
        ("/a", "b/c", "second"),
        ("/a/b", "d", "third"),
    ];
    for (source, id, message) in said {
        let data = json!({ "target": "all", "message": message });
        let event = json!({ "specversion": "1.0", "id": id, "source": source, "type": "t", "data": data });
        system.publish("shelter", "broadcast.created", &event).await;
    }
    for message in ["first", "second", "third"] {
        assert_eq!(client.next_json(BOUND).await["data"]["message"], message);
    }
    system.check_well();
}

/// Somebody who listens.
struct Listener {
    tenant: &'static str,
    claims: Value,
    topics: Vec<&'static str>,
}

impl Listener {
    fn new(tenant: &'static str, mut claims: Value) -> Self {
        claims["tenant"] = tenant.into();
        Self { tenant, claims, topics: Vec::new() }
    }

    fn topics(mut self, topics: &[&'static str]) -> Self {
        topics.clone_into(&mut self.topics);
        self
    }

    async fn open(&self, system: &System) -> Client {
        match self.topics.as_slice() {
            [] => system.open(self.claims.clone()).await,
            topics => system.subscribed(self.claims.clone(), topics, json!({})).await,
        }
    }

    /// The addresses that are open to it, as the contract of its tenant says.
    fn keys(&self) -> BTreeSet<String> {
        let claims: &[(&str, &str)] = match self.tenant {
            "cnc" => &[("org", "orgId")],
            "shelter" => &[("user", "sub"), ("role", "role"), ("shelter", "shelterId")],
            _ => &[("user", "sub")],
        };
        let mut keys: BTreeSet<String> = self.topics.iter().map(|topic| format!("topic:{topic}")).collect();
        if self.tenant == "ops" && keys.is_empty() {
            let initial = ["incidents", "tasks", "assets", "alerts", "metrics", "notifications"];
            keys.extend(initial.map(|topic| format!("topic:{topic}")));
        }
        if self.tenant == "shelter" {
            keys.insert("all".to_owned());
        }
        for (kind, claim) in claims {
            keys.extend(texts(&self.claims[claim]).iter().map(|id| format!("{kind}:{id}")));
        }
        keys
    }

    /// An event for this listener, whose message contains the word `marker`.
    fn marker(&self) -> (&'static str, Value) {
        let user = &self.claims["sub"];
        match self.tenant {
            "cnc" => {
                let org = texts(&self.claims["orgId"])[0];
                ("volunteers.updated", json!({ "orgId": org, "periodId": "marker" }))
            }
            "documents" => {
                ("processing.started", json!({ "userId": user, "docId": "marker", "totalPages": 1 }))
            }
            "shelter" => {
                ("broadcast.created", json!({ "target": "user", "userId": user, "message": "marker" }))
            }
            // What the contracts of ops and uploads ask for, in one.
            _ => (
                "notification.created",
                json!({
                    "userId": user, "title": "marker", "message": "", "type": "info", "priority": "low", "severity": "info",
                }),
            ),
        }
    }
}

fn texts(claim: &Value) -> Vec<&str> {
    match claim {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        value => value.as_str().into_iter().collect(),
    }
}

async fn check_fresh(tenant: &str, listeners: Vec<Listener>) {
    let mut system = System::start().await;
    check(&system, tenant, listeners).await;
    system.check_well();
}

async fn check(system: &System, tenant: &str, listeners: Vec<Listener>) {
    let mut clients = Vec::new();
    for listener in &listeners {
        clients.push(listener.open(system).await);
    }
    let context = jetstream::new(system.client().clone());
    let written = Written::follow(system).await;
    let mut published = Vec::new();
    let mut reached = BTreeSet::new();
    for (name, example) in examples(Path::new(SCHEMAS).join(tenant).as_path()) {
        let to: BTreeSet<_> = texts(&example["becomes"]["to"]).into_iter().map(str::to_owned).collect();
        for (form, headers, payload) in forms(&name, &example) {
            let subject = format!("events.{tenant}.{}", example["event"].as_str().unwrap());
            let stored = context.publish_with_headers(subject, headers, payload.into()).await.unwrap();
            published.push((format!("{name} as {form}"), name.clone(), stored.await.unwrap().sequence));
            for (listener, client) in listeners.iter().zip(&mut clients) {
                if listener.tenant == tenant && !to.is_disjoint(&listener.keys()) {
                    let message = client.next_json(BOUND).await;
                    let claims = &listener.claims;
                    assert_eq!(message, example["becomes"]["message"], "{name} as {form} for {claims}");
                    reached.extend(to.intersection(&listener.keys()).cloned());
                }
            }
        }
        assert!(to.is_subset(&reached), "nobody listens at some address of {name}: {to:?}");
    }
    for (listener, client) in listeners.iter().zip(&mut clients) {
        let (event, data) = listener.marker();
        system.publish(listener.tenant, event, &data).await;
        let message = client.next_text(BOUND).await;
        let claims = &listener.claims;
        assert!(message.contains("marker"), "{claims} has no key for this, and receives {message}");
    }
    written.check(&published).await;
}

/// What the projector writes, by the sequence of its event, and in that by its part.
struct Written(Subscriber);

/// The subject, the attributes and the body of an envelope.
type Envelope = (String, Option<String>, String);

impl Written {
    async fn follow(system: &System) -> Self {
        let client = system.client();
        let written = client.subscribe("envelopes.>").await.unwrap();
        client.flush().await.unwrap();
        Self(written)
    }

    /// Fails unless each example became the same envelopes, to the byte, in whatever form it was published: as it is called in
    /// that form, its name, the sequence of its event. An event behind them must have been projected, too.
    async fn check(mut self, published: &[(String, String, u64)]) {
        let last = published.iter().map(|(_, _, sequence)| *sequence).max().unwrap();
        let mut written: BTreeMap<u64, BTreeMap<String, Envelope>> = BTreeMap::new();
        while written.last_key_value().is_none_or(|(sequence, _)| *sequence <= last) {
            let message = timeout(BOUND, self.0.next()).await.unwrap().unwrap();
            let headers = message.headers.unwrap();
            let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
            let body = String::from_utf8(message.payload.to_vec()).unwrap();
            let envelope = (message.subject.to_string(), header("Tidings-Attributes"), body);
            let origin = header("Tidings-Origin").unwrap();
            let (event, part) = origin.split_once('/').unwrap();
            let sequence = event.split_once('-').unwrap().1;
            written.entry(sequence.parse().unwrap()).or_default().insert(part.to_owned(), envelope);
        }
        let mut first_forms = BTreeMap::new();
        for (form, name, sequence) in published {
            let envelopes = &written[sequence];
            let (first_form, expected) = first_forms.entry(name).or_insert((form, envelopes));
            assert_eq!(envelopes, *expected, "{form} and {first_form}");
        }
    }
}

/// Every example of an event in a catalog, with the name of its file.
pub(crate) fn examples(catalog: &Path) -> Vec<(String, Value)> {
    let entries = fs::read_dir(catalog.join("examples")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no examples", catalog.display());
    let read = |path: &PathBuf| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let examples = paths.iter().map(|path| (name(path), read(path)));
    examples
        .filter(|(_, example): &(_, Value)| {
            example.get("event").is_some() && example.get("publishes").is_none()
        })
        .collect()
}

/// The forms in which a producer may publish an example.
fn forms(name: &str, example: &Value) -> Vec<(&'static str, HeaderMap, String)> {
    let mut forms = Vec::new();
    // Plain JSON says nothing of the event but its data.
    if ["time", "id", "source", "subject"].iter().all(|attribute| example.get(attribute).is_none()) {
        forms.push(("plain JSON", HeaderMap::new(), example["data"].to_string()));
    }
    let mut structured = json!({
        "specversion": "1.0", "id": format!("{name} 1"), "source": "/tests", "type": "com.example.type", "data": example["data"],
    });
    let mut binary = HeaderMap::new();
    for (attribute, value) in [("specversion", "1.0"), ("id", name), ("source", "/tests"), ("type", "any")] {
        binary.insert(format!("ce-{attribute}"), value);
    }
    for attribute in ["time", "id", "source", "subject"] {
        if let Some(value) = example.get(attribute) {
            structured[attribute] = value.clone();
            binary.insert(format!("ce-{attribute}"), value.as_str().unwrap());
        }
    }
    let mut declared = HeaderMap::new();
    declared.insert("Content-Type", "application/cloudevents+json; charset=utf-8");
    forms.push(("structured CloudEvent", HeaderMap::new(), structured.to_string()));
    // The same id again would be the same event.
    let mut again = structured.clone();
    again["id"] = format!("{name} 2").into();
    forms.push(("declared structured CloudEvent", declared, again.to_string()));
    forms.push(("binary CloudEvent", binary, example["data"].to_string()));
    forms
}
