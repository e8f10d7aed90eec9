//! Each example of what a client publishes, through a gateway and a projector.

use std::fs;
use std::path::Path;

use harness::{BOUND, SCHEMAS, System};
use serde_json::{Value, json};

use crate::{events, open, published, refused};

/// Every example with a member `publishes`: tenant, file, example.
fn examples() -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    let entries = fs::read_dir(Path::new(SCHEMAS)).unwrap().map(|entry| entry.unwrap().path());
    for tenant in entries.filter(|path| path.is_dir()) {
        for file in fs::read_dir(tenant.join("examples")).unwrap().map(|entry| entry.unwrap().path()) {
            let example: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            if example.get("publishes").is_some() {
                let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
                found.push((name(&tenant), name(&file), example));
            }
        }
    }
    found.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    found
}

fn code(reason: &str) -> &'static str {
    match reason {
        "unknown-action" => "UNKNOWN_ACTION",
        "forbidden" => "FORBIDDEN",
        _ => "INVALID_MESSAGE",
    }
}

/// Somebody who hears at this address.
fn listener(tenant: &str, address: &str) -> (Value, Vec<String>) {
    let (kind, id) = address.split_once(':').unwrap_or((address, ""));
    let mut claims = json!({ "tenant": tenant, "sub": format!("listens at {address}") });
    let claim = match kind {
        "user" => "sub",
        "role" => "role",
        "shelter" => "shelterId",
        "all" => return (claims, Vec::new()),
        "topic" => return (claims, vec![id.to_owned()]),
        other => panic!("no listener at {other}"),
    };
    claims[claim] = id.into();
    (claims, Vec::new())
}

/// The object with some members changed.
fn with(object: &Value, changed: &Value) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    object
}

#[tokio::test]
async fn every_example_holds() {
    let mut system = System::start().await;
    let mut stored = 0;
    for (tenant, file, example) in examples() {
        let mut claims = example["claims"].clone();
        claims["tenant"] = tenant.as_str().into();
        let user = claims["sub"].as_str().unwrap().to_owned();
        let mut speaker = open(&system, claims).await;
        if let Some(expected) = example.get("refused") {
            let error = refused(&mut speaker, &example["publishes"]).await;
            let reason = expected["reason"].as_str().unwrap();
            assert_eq!(error["code"], code(reason), "{tenant}/{file}: {error}");
            assert_eq!(error.get("pointer"), expected.get("pointer"), "{tenant}/{file}: {error}");
            if error["code"] == "INVALID_MESSAGE" {
                assert_eq!(error["reason"], reason, "{tenant}/{file}: {error}");
            }
            continue;
        }
        let mut listeners = Vec::new();
        for address in example["becomes"]["to"].as_array().unwrap() {
            let (claims, topics) = listener(&tenant, address.as_str().unwrap());
            let topics: Vec<_> = topics.iter().map(String::as_str).collect();
            let mut client = open(&system, claims).await;
            client.send_json(&json!({ "action": "subscribe", "topics": topics })).await;
            client.send_json(&json!({ "action": "ping" })).await;
            client.until(BOUND, |message| message["action"] == "pong").await;
            listeners.push(client);
        }
        speaker.send_json(&example["publishes"]).await;
        let id = published(&mut speaker).await;
        stored += 1;
        for client in &mut listeners {
            let is_expected = |message: &Value| {
                // When it was said is the gateway's to state.
                let said = json!({ "timestamp": message["timestamp"] });
                *message == with(&example["becomes"]["message"], &said)
            };
            client.until(BOUND, is_expected).await;
        }
        let event = crate::event(events(&system).await.last().unwrap());
        assert_eq!((&event["id"], &event["type"]), (&json!(id), &example["event"]), "{tenant}/{file}");
        let source = event["source"].as_str().unwrap();
        assert!(source.starts_with(&format!("client/{user}/device-")), "{source}");
    }
    assert!(stored >= 7);
    assert_eq!(events(&system).await.len(), stored, "what is refused is not stored");
    system.check_well();
}
