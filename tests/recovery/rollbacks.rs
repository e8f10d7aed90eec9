//! NATS comes back with less than it had, as after a power failure or from a backup: what is published afterwards arrives,
//! and who may have missed something is told, also where sequences have been given again.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use harness::{BOUND, Client, System, eventually};
use serde_json::Value;

use crate::site::{dial, hears, incident, ready, reconnected, sequenced_listener};

/// Publishes one event, as soon as NATS stores it.
async fn publish(system: &System, id: &str) {
    let context = jetstream::new(system.client().clone());
    eventually(&format!("{id} is stored"), BOUND, async || {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let (subject, data) = ("events.ops.incident.created", incident(id).to_string());
        let sent = context.publish_with_headers(subject, headers, data.into()).await;
        let stored = sent.map_err(|error| error.to_string())?.into_future();
        let stored = tokio::time::timeout(Duration::from_secs(2), stored).await;
        stored.map_err(|_| "not stored".to_owned())?.map_err(|error| error.to_string())
    })
    .await;
}

/// What comes until this incident does.
async fn until(client: &mut Client, id: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    loop {
        seen.push(client.next_json(2 * BOUND).await);
        if seen.last().is_some_and(|message| message["data"]["id"] == id) {
            return seen;
        }
    }
}

/// What comes until this incident does, on as many connections as it takes.
async fn until_through_closes(system: &System, mut client: Client, id: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|message: &Value| message["data"]["id"] != id) {
        match client.next_json_or_close(2 * BOUND).await {
            Ok(message) => seen.push(message),
            Err(code) => {
                assert_eq!(code, Some(1001), "{seen:?}");
                client = reconnected(system).await;
            }
        }
    }
    seen
}

fn has_gap(seen: &[Value]) -> bool {
    seen.iter().any(|message| message["action"] == "gap")
}

#[tokio::test]
async fn what_is_published_after_a_roll_back_arrives() {
    for parts in [
        &["EVENTS"][..],
        &["ENVELOPES"],
        &["EVENTS", "ENVELOPES"],
        &["EVENTS", "ENVELOPES", "KV_CONSUMERS", "KV_PROJECTORS"],
    ] {
        let mut system = System::start().await;
        let mut client = sequenced_listener(dial(system.address(), "ada")).await;
        hears(&system, &mut client, "first").await;
        let saved = system.nats.save(parts).await;
        ready(system.address(), None).await;
        for number in 1..=10 {
            publish(&system, &format!("lost-{number}")).await;
        }
        until(&mut client, "lost-10").await;
        system.nats.bring_back(saved).await;
        for number in 1..=20 {
            publish(&system, &format!("new-{number}")).await;
        }
        let seen = until_through_closes(&system, client, "new-20").await;
        let new: Vec<_> = seen.iter().filter_map(|message| message["data"]["id"].as_str()).collect();
        for number in 1..=20 {
            assert!(new.contains(&&*format!("new-{number}")), "{parts:?}: {number} is missing in {seen:?}");
        }
        assert_eq!(has_gap(&seen), parts.contains(&"ENVELOPES"), "{parts:?}: {seen:?}");
        system.check_well();
    }
}

/// The stream has grown past the place where a device stood that was away: nothing but the time tells that what lies
/// there now is something else.
#[tokio::test]
async fn a_device_that_was_away_is_told_though_its_place_is_taken() {
    let system = System::start().await;
    let mut client = sequenced_listener(dial(system.address(), "ada")).await;
    publish(&system, "one").await;
    publish(&system, "two").await;
    let received = until(&mut client, "two").await;
    let sequence = received[received.len() - 1]["seq"].as_u64().unwrap();
    client.send_json(&serde_json::json!({ "action": "ack", "seq": sequence })).await;
    client.close().await;
    // As if these had been stored an hour after the device was seen, and others had been in their place before.
    let context = jetstream::new(system.client().clone());
    let consumers = context.get_key_value("CONSUMERS").await.unwrap();
    let key = "ops.ada.d";
    let mut record = eventually("the device has left", BOUND, async || {
        let record = consumers.get(key).await.map_err(|error| error.to_string())?.ok_or("no record")?;
        let record: Value = serde_json::from_slice(&record).unwrap();
        let is_saved = record["connected"].is_null()
            && record["position"]
                .as_str()
                .is_some_and(|position| position.ends_with(&format!("-{sequence}")));
        if is_saved { Ok(record) } else { Err(record.to_string()) }
    })
    .await;
    record["last_seen"] = (record["last_seen"].as_u64().unwrap() - 3_600).into();
    consumers.put(key, record.to_string().into()).await.unwrap();
    let mut back = dial(system.address(), "ada").subprotocol("tidings.v1").open().await;
    publish(&system, "three").await;
    let seen = until(&mut back, "three").await;
    assert!(has_gap(&seen), "{seen:?}");
    for id in ["one", "two"] {
        assert!(seen.iter().any(|message| message["data"]["id"] == id), "{id} is missing in {seen:?}");
    }
}
