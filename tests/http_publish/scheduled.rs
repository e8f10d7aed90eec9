//! Events that are delivered later: scheduled, replaced, cancelled, listed, over HTTP, over NATS and by the command.

use std::time::Duration;

use async_nats::HeaderMap;
use harness::{BOUND, System, eventually};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Answer, Post, cloud_event, events, incident, incidents_until_end, listener, producer};

fn in_seconds(seconds: u64) -> String {
    (OffsetDateTime::now_utc() + Duration::from_secs(seconds)).format(&Rfc3339).unwrap()
}

fn at(id: &str, incident: &str, deliver_at: &str) -> Value {
    let mut event = cloud_event(id, incident);
    event["deliverat"] = deliver_at.into();
    event
}

/// `DELETE /api/v1/events/<path>`.
async fn delete(system: &System, bearer: &str, path: &str) -> Answer {
    let url = format!("{}/api/v1/events/{path}", system.address());
    let response = reqwest::Client::new().delete(url).bearer_auth(bearer).send().await.unwrap();
    let status = response.status().as_u16();
    Answer { status, retry_after: None, body: serde_json::from_str(&response.text().await.unwrap()).unwrap() }
}

/// What waits, as the command lists it: source, id, and whether it is due within a minute.
async fn waiting(system: &System) -> Vec<(Value, Value, bool)> {
    let listed =
        system.command(&["scheduled", "ls", "--tenant", "ops", "--json"]).finish(BOUND).await.succeeded();
    let lines = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_soon = |line: &Value| {
        let at = OffsetDateTime::parse(line["at"].as_str().unwrap(), &Rfc3339).unwrap();
        at - OffsetDateTime::now_utc() < Duration::from_secs(60)
    };
    lines.map(|line| (line["source"].clone(), line["id"].clone(), is_soon(&line))).collect()
}

async fn until_waiting(system: &System, expected: &[(Value, &str, bool)]) {
    let expected: Vec<_> =
        expected.iter().map(|(source, id, is_soon)| (source.clone(), json!(id), *is_soon)).collect();
    eventually("it is scheduled", BOUND, async || match waiting(system).await {
        found if found == expected => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
}

#[tokio::test]
async fn an_event_comes_when_it_says_and_may_be_replaced_and_cancelled_until_then() {
    let mut system = System::start().await;
    let mut ada = listener(&system).await;
    let bearer = producer(&json!({}));
    let post = || Post::to(system.address(), &bearer);
    let source = json!("/incidents");

    // Over HTTP, in each form; each takes the place of the one before.
    let answer = post().cloud_event(&at("a", "1", &in_seconds(3_000))).send().await.good();
    assert_eq!((&answer["scheduled"], &answer["duplicate"]), (&json!(true), &json!(false)), "{answer}");
    until_waiting(&system, &[(source.clone(), "a", false)]).await;
    post().cloud_event(&at("a", "2", &in_seconds(50))).send().await.good();
    until_waiting(&system, &[(source.clone(), "a", true)]).await;
    let plain = |id: &'static str, delay: &'static str| {
        let plain = post().event("incident.created").json(&incident(id)).header("Idempotency-Key", "b");
        plain.header("Tidings-Delay", delay)
    };
    plain("3", "1h").send().await.good();
    plain("4", "30s").send().await.good();
    until_waiting(&system, &[(source.clone(), "a", true), (Value::Null, "b", true)]).await;

    // What would be rejected is refused at once.
    for (event, expected) in [
        (at("c", "5", "tomorrow"), "malformed-event"),
        (at("c", "5", &in_seconds(400 * 86_400)), "malformed-event"),
        (
            json!({ "specversion": "1.0", "id": "c", "source": "/s", "type": "incident.created", "delay": "1s", "data": {} }),
            "schema-violation",
        ),
    ] {
        let refused = post().cloud_event(&event).send().await;
        assert_eq!(refused.code(), (422, "EVENT_REJECTED"), "{event}");
        assert_eq!(refused.body["reason"], expected, "{}", refused.body);
    }

    // Who may publish it may cancel it, and nobody else.
    let other = producer(&json!({ "tidings_events": "task.*" }));
    let bound = producer(&json!({ "tidings_source": "/tasks" }));
    let path = "incident.created/scheduled/a?source=%2Fincidents";
    assert_eq!(delete(&system, &other, path).await.code(), (403, "EVENT_FORBIDDEN"));
    assert_eq!(delete(&system, &bound, path).await.code(), (403, "EVENT_FORBIDDEN"));
    for wrong in ["incident/scheduled/a", "incident.created/scheduled/a?sourc=x"] {
        assert_eq!(delete(&system, &bearer, wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(delete(&system, &bearer, "incident.gone/scheduled/a").await.code(), (422, "EVENT_REJECTED"));
    delete(&system, &bound, "incident.created/scheduled/a").await.good();
    delete(&system, &bearer, "incident.created/scheduled/a").await.good();
    until_waiting(&system, &[(source.clone(), "a", true), (Value::Null, "b", true)]).await;
    let answer = delete(&system, &bearer, path).await.good();
    assert_eq!((&answer["id"], &answer["cancelled"]), (&json!("a"), &json!(true)), "{answer}");
    until_waiting(&system, &[(Value::Null, "b", true)]).await;
    assert_eq!(incidents_until_end(&system, &mut ada).await, Vec::<String>::new());

    // Over NATS, and by the command; a time that has passed is due at once.
    let mut headers = HeaderMap::new();
    headers.insert("Tidings-Event-Id", "b");
    headers.insert("Tidings-Deliver-At", "2025-01-17T10:30:00Z");
    system.publish_raw("events.ops.incident.created", headers, incident("6").to_string()).await;
    ada.until(BOUND, |message| message["data"]["id"] == "6").await;
    let publish = |id: &'static str, when: [&'static str; 2]| {
        let data = incident(id).to_string();
        let arguments = ["publish", "--tenant", "ops", "incident.created", "--id", "cli", "--data", &data];
        system.command(&[&arguments[..], &when].concat()).finish(BOUND)
    };
    publish("7", ["--delay", "45m"]).await.succeeded();
    until_waiting(&system, &[(json!("tidings-cli"), "cli", false)]).await;
    let cancel =
        ["scheduled", "cancel", "--tenant", "ops", "--source", "tidings-cli", "incident.created", "cli"];
    system.command(&cancel).finish(BOUND).await.succeeded();
    until_waiting(&system, &[]).await;
    publish("8", ["--at", "2025-01-17T10:30:00Z"]).await.succeeded();
    ada.until(BOUND, |message| message["data"]["id"] == "8").await;

    // A repetition of it is one, as of any event.
    post().cloud_event(&at("d", "9", &in_seconds(1))).send().await.good();
    ada.until(BOUND, |message| message["data"]["id"] == "9").await;
    post().cloud_event(&at("d", "9", &in_seconds(0))).send().await.good();
    eventually("it is due again", BOUND, async || {
        let due = events(&system)
            .await
            .into_iter()
            .filter(|event| event.headers.get("Tidings-Scheduled").is_some());
        if due.count() == 4 { Ok(()) } else { Err("not yet") }
    })
    .await;
    assert_eq!(incidents_until_end(&system, &mut ada).await, Vec::<String>::new());
    system.check_well();
}
