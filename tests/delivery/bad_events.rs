//! What is no good event lands in `REJECTED`, whole and with its reason; the stream goes on and nobody else notices.

use async_nats::HeaderMap;
use async_nats::client::PublishErrorKind;
use harness::{BOUND, Client, Rejected, Setup, System};
use serde_json::{Value, json};

const INCIDENT: &str = "events.ops.incident.created";

/// What a rejection says.
struct Expected<'e> {
    reason: &'e str,
    text: &'e str,
    pointer: Option<&'e str>,
}

/// A client that would hear of it if anything came of a bad event.
async fn witness(system: &System) -> Client {
    let topics = ["incidents", "tasks", "assets", "alerts", "metrics"];
    system.subscribed(json!({ "tenant": "ops", "sub": "ada" }), &topics, json!({})).await
}

/// A good event goes through, and nothing came to the witness before it.
async fn check_goes_on(system: &System, witness: &mut Client) {
    let data = json!({ "userId": "ada", "title": "good", "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
    let message = witness.next_json(BOUND).await;
    assert_eq!(message["data"]["title"], "good", "{message}");
}

#[track_caller]
fn check(rejected: &Rejected, event: u64, subject: &str, payload: &[u8], expected: &Expected<'_>) {
    assert_eq!(
        rejected.header("Tidings-Reason"),
        Some(expected.reason),
        "{:?}",
        rejected.header("Tidings-Reason-Text")
    );
    let text = rejected.header("Tidings-Reason-Text").unwrap();
    assert!(text.contains(expected.text), "{text:?} does not say {:?}", expected.text);
    assert!(text.chars().count() <= 401, "{text}");
    assert_eq!(rejected.header("Tidings-Reason-Pointer"), expected.pointer);
    assert_eq!(rejected.header("Tidings-Event-Subject"), Some(subject));
    assert!(rejected.header("Tidings-Event-Seq").unwrap().ends_with(&format!("-{event}")));
    assert_eq!(rejected.header("Tidings-Omitted-Bytes"), None);
    assert!(rejected.payload() == payload, "the event's payload is not whole");
}

async fn check_rejected(system: &System, subject: &str, payload: impl Into<Vec<u8>>, expected: Expected<'_>) {
    let payload = payload.into();
    let event = system.publish_raw(subject, HeaderMap::new(), payload.clone()).await;
    check(&system.rejected(event).await, event, subject, &payload, &expected);
}

fn malformed(text: &str) -> Expected<'_> {
    Expected { reason: "malformed-event", text, pointer: None }
}

fn incident() -> Value {
    json!({ "id": "i", "jira_id": "I-1", "title": "t", "severity": "low", "status": "open", "squad": "s" })
}

#[tokio::test]
async fn what_is_no_json_is_rejected() {
    let mut system = System::start().await;
    let mut witness = witness(&system).await;
    for payload in ["", "not JSON", "{", "{\"a\":1}{}", "\u{0}"] {
        check_rejected(&system, INCIDENT, payload, malformed("JSON")).await;
    }
    check_rejected(&system, INCIDENT, b"\"\xff\"".as_slice(), malformed("JSON")).await;
    check_rejected(&system, INCIDENT, "[".repeat(100_000), malformed("recursion limit exceeded")).await;
    let objects = r#"{"a":"#.repeat(100_000);
    check_rejected(&system, INCIDENT, objects, malformed("recursion limit exceeded")).await;
    check_rejected(&system, INCIDENT, hidden_depth(512 * 1024), malformed("is reserved")).await;
    check_goes_on(&system, &mut witness).await;
    system.check_well();
}

/// JSON that a parser which believes in private names reads with a recursion without bound.
pub(crate) fn hidden_depth(at_most: usize) -> String {
    let mut text = String::from("[]");
    loop {
        let hidden = Value::from(text.as_str()).to_string();
        let (open, close) = ("[".repeat(120), "]".repeat(120));
        let deeper = format!(r#"{open}{{"$serde_json::private::RawValue":{hidden}}}{close}"#);
        if deeper.len() > at_most {
            return text;
        }
        text = deeper;
    }
}

#[tokio::test]
async fn what_no_catalog_knows_is_rejected() {
    let mut system = System::start().await;
    let mut witness = witness(&system).await;
    let data = incident().to_string();
    let unknown = Expected {
        reason: "unknown-event",
        text: "the catalog of tenant ops has no message for event incident.exploded",
        pointer: None,
    };
    check_rejected(&system, "events.ops.incident.exploded", data.clone(), unknown).await;
    let unserved =
        Expected { reason: "unknown-tenant", text: "cnc, documents, ops, shelter, uploads", pointer: None };
    check_rejected(&system, "events.nobody.incident.created", data.clone(), unserved).await;
    for subject in [
        "events.ops",
        "events.ops.incident",
        "events.ops.incident.created.twice",
        "events.OPS.incident.created",
        "events.ops.incident.créé",
    ] {
        check_rejected(&system, subject, data.clone(), malformed(subject)).await;
    }
    check_goes_on(&system, &mut witness).await;
    system.check_well();
}

#[tokio::test]
async fn a_body_that_breaks_its_schema_is_rejected() {
    let mut system = System::start().await;
    let mut witness = witness(&system).await;
    let with = |member: &str, value: Value| {
        let mut data = incident();
        data[member] = value;
        data.to_string()
    };
    let violation = |text, pointer| Expected { reason: "schema-violation", text, pointer: Some(pointer) };
    let expected = violation("\"apocalyptic\" is not one of", "/data/severity");
    check_rejected(&system, INCIDENT, with("severity", json!("apocalyptic")), expected).await;
    check_rejected(
        &system,
        INCIDENT,
        with("title", json!(7)),
        violation("7 is not of type \"string\"", "/data/title"),
    )
    .await;
    check_rejected(&system, INCIDENT, "{}", violation("is a required property", "/data")).await;
    check_rejected(&system, INCIDENT, "null", violation("\"data\" is a required property", "")).await;
    check_rejected(&system, INCIDENT, "[1]", violation("is not of type \"object\"", "/data")).await;

    // What the catalog places in the message, or the address, and the event does not have.
    let missing = |text, pointer| Expected { reason: "missing-value", text, pointer: Some(pointer) };
    let nobody = json!({ "title": "t", "message": "", "type": "info", "priority": "low" }).to_string();
    check_rejected(&system, "events.ops.notification.created", nobody, missing("data.userId", "/userId"))
        .await;
    let broadcast = json!({ "target": "everybody", "message": "m" }).to_string();
    let violated = violation("\"everybody\" is not one of", "/data/target");
    check_rejected(&system, "events.shelter.broadcast.created", broadcast, violated).await;
    let broadcast = json!({ "target": "role", "message": "m" }).to_string();
    check_rejected(
        &system,
        "events.shelter.broadcast.created",
        broadcast,
        violation("\"role\" is a required property", "/data"),
    )
    .await;
    let broadcast = json!({ "target": "user", "userId": "", "message": "m" }).to_string();
    let nowhere = Expected { reason: "no-address", text: "user", pointer: None };
    check_rejected(&system, "events.shelter.broadcast.created", broadcast, nowhere).await;
    check_goes_on(&system, &mut witness).await;
    system.check_well();
}

#[tokio::test]
async fn a_wrong_cloud_event_is_rejected() {
    let mut system = System::start().await;
    let mut witness = witness(&system).await;
    let good = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": incident() });
    for (member, value, text) in [
        ("specversion", json!("0.3"), "\"0.3\""),
        ("time", json!("yesterday"), "\"yesterday\""),
        ("datacontenttype", json!("text/xml"), "\"text/xml\""),
        ("subject", json!(7), "subject"),
        ("data_base64", json!("AA=="), "data_base64"),
        ("id", json!("x".repeat(257)), "256"),
    ] {
        let mut event = good.clone();
        event[member] = value;
        check_rejected(&system, INCIDENT, event.to_string(), malformed(text)).await;
    }
    for (header, value, text) in [
        ("ce-specversion", "2.0", "\"2.0\""),
        ("ce-id", "", "id"),
        ("ce-source", "", "source"),
        ("ce-time", "2025-01-17", "\"2025-01-17\""),
        ("Content-Type", "image/png", "\"image/png\""),
    ] {
        let mut headers = HeaderMap::new();
        let attributes = [
            ("ce-specversion", "1.0"),
            ("ce-id", "2"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("x-own", "kept"),
        ];
        for (name, given) in attributes.into_iter().filter(|(name, _)| *name != header || !value.is_empty()) {
            headers.insert(name, given);
        }
        if !value.is_empty() {
            headers.insert(header, value);
        }
        let data = incident().to_string();
        let event = system.publish_raw(INCIDENT, headers, data.clone()).await;
        let rejected = system.rejected(event).await;
        check(&rejected, event, INCIDENT, data.as_bytes(), &malformed(text));
        assert_eq!(rejected.header("x-own"), Some("kept"), "the event's own headers stay");
    }
    let mut declared = HeaderMap::new();
    declared.insert("Content-Type", "application/cloudevents+json");
    let data = incident().to_string();
    let event = system.publish_raw(INCIDENT, declared, data.clone()).await;
    check(&system.rejected(event).await, event, INCIDENT, data.as_bytes(), &malformed("specversion"));
    check_goes_on(&system, &mut witness).await;
    system.check_well();
}

const TEN_MEGABYTES: usize = 10 * 1024 * 1024;

#[tokio::test]
async fn ten_megabytes_are_the_publishers_mistake_where_the_server_says_so() {
    let mut system = System::start().await;
    let mut witness = witness(&system).await;
    let published = system.client().publish(INCIDENT, vec![b' '; TEN_MEGABYTES].into()).await;
    assert_eq!(published.unwrap_err().kind(), PublishErrorKind::MaxPayloadExceeded);
    check_goes_on(&system, &mut witness).await;
    system.check_well();
}

#[tokio::test]
async fn ten_megabytes_are_rejected_where_the_server_takes_them() {
    let mut system = Setup::default().nats("max_payload: 16MB").start().await;
    let mut witness = witness(&system).await;
    let mut data = incident();
    data["description"] = "x".repeat(TEN_MEGABYTES).into();
    let expected = Expected { reason: "too-large", text: "bytes, more than 1048576", pointer: None };
    check_rejected(&system, INCIDENT, data.to_string(), expected).await;
    check_goes_on(&system, &mut witness).await;
    system.check_well();
}
