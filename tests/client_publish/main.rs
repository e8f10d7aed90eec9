//! What clients say, end to end: who may, what becomes of it, and that it becomes that once and in order.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers fail a test by panicking")]

mod delivery;
mod examples;
mod fresh;
mod too_large;

use std::time::Duration;

use async_nats::jetstream::{self, message::StreamMessage};
use harness::{BOUND, Client, SECRET, System, token};
use serde_json::{Value, json};

/// Longer than a gateway waits for JetStream.
const OUTAGE: Duration = Duration::from_secs(60);

/// A shelter operator's claims.
fn operator(user: &str, shelter: &str) -> Value {
    json!({ "tenant": "shelter", "sub": user, "role": "shelter_operator", "shelterId": shelter })
}

fn coordinator(user: &str) -> Value {
    json!({ "tenant": "shelter", "sub": user, "role": "emergency_coordinator" })
}

/// How a shelter stands.
fn update(shelter: &str, occupancy: u64) -> Value {
    let data = json!({ "shelterId": shelter, "status": "open", "capacity": 120, "occupancy": occupancy });
    json!({ "action": "shelter_update", "data": data })
}

fn broadcast(message: &str) -> Value {
    json!({ "action": "broadcast", "data": { "target": "all", "message": message } })
}

fn with_id(mut frame: Value, id: impl Into<Value>) -> Value {
    frame["id"] = id.into();
    frame
}

/// A client that may hear first what was said before it came.
async fn open(system: &System, claims: Value) -> Client {
    system.dial().bearer(&token(SECRET, claims)).open().await
}

/// Says something and returns the event's id. Whatever else comes to the client before is passed over.
async fn say(client: &mut Client, frame: &Value) -> String {
    client.send_json(frame).await;
    published(client).await
}

/// The id of the event in the next answer to what the client has said.
async fn published(client: &mut Client) -> String {
    let answer = answer(client, BOUND).await;
    assert_eq!(answer["action"], "published", "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

/// Says something, and returns the `data` of the error.
async fn refused(client: &mut Client, frame: &Value) -> Value {
    client.send_json(frame).await;
    let answer = answer(client, BOUND).await;
    assert_eq!(answer["type"], "error", "{answer}");
    answer["data"].clone()
}

async fn answer(client: &mut Client, bound: Duration) -> Value {
    let is_answer = |message: &Value| message["action"] == "published" || message["data"]["code"].is_string();
    client.until(bound, is_answer).await.pop().unwrap()
}

/// Everything in `EVENTS`, read one by one.
async fn events(system: &System) -> Vec<StreamMessage> {
    let stream = jetstream::new(system.client().clone()).get_stream("EVENTS").await.unwrap();
    let mut events = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        events.push(stream.get_raw_message(sequence).await.unwrap());
    }
    events
}

fn event(message: &StreamMessage) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}
