//! `tidings explain` says where an event ended for a user, for each ending.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use harness::{BOUND, Client, Dial, SECRET, System, eventually, token};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::dispatching::{Receiver, system_with};

const CATALOG: &str = r#"
grants = ["user:{sub}", "role:{role}"]
[topics.news]
[[message]]
name = "note"
events = ["note.added"]
schema = "any.schema.json"
to = ["user:{data.user?}", "role:{data.role?}", { address = "topic:news", when = { "data.news" = true } }]
attributes = { squad = "{data.squad?}" }
body = { n = "{data.n}" }
[[message]]
name = "alarm"
events = ["alarm.raised"]
schema = "any.schema.json"
to = "user:{data.user}"
body = { n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "0s"
[[message]]
name = "ticket"
events = ["ticket.opened"]
schema = "any.schema.json"
to = "user:{data.user}"
key = "{data.id}"
body = { n = "{data.n}" }
[[message]]
name = "closed"
slot = "ticket"
events = ["ticket.closed"]
schema = "any.schema.json"
to = "user:{data.user}"
retracts = "{data.id}"
body = { n = "{data.n}" }
[[message]]
name = "brief"
events = ["brief.added"]
schema = "any.schema.json"
to = "user:{data.user}"
ttl = "1s"
body = { n = "{data.n}" }
"#;

async fn publish(system: &System, event: &str, id: &str, data: &Value, more: &[&str]) {
    let data = data.to_string();
    let arguments = [&["publish", "--tenant", "hooks", event, "--id", id, "--data", &data], more].concat();
    system.command(&arguments).finish(BOUND).await.succeeded();
}

/// Waits until an event ends like this, with this in the sentence.
async fn ends(system: &System, event: &str, ending: &str, said: &str) -> Value {
    eventually(&format!("{event} ends as {ending}"), BOUND, async || {
        let arguments = ["explain", "--tenant", "hooks", "--user", "ada", "--event", event, "--json"];
        let text = system.command(&arguments).finish(BOUND).await.succeeded();
        let found: Value = serde_json::from_str(&text).unwrap();
        let is_it = found["ending"] == ending && found["summary"].as_str().unwrap().contains(said);
        if is_it { Ok(found) } else { Err(text) }
    })
    .await
}

async fn ada(system: &System) -> Client {
    let token = token(SECRET, json!({ "tenant": "hooks", "sub": "ada", "role": "dev" }));
    let dial = Dial::new(system.address()).query("device", "phone").bearer(&token);
    let mut client = dial.subprotocol("tidings.v1").open().await;
    client.until(BOUND, |message| message["action"] == "caught_up").await;
    client
}

#[tokio::test]
async fn each_ending_of_an_event_is_explained() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Arc::new(Receiver::default()));
    let system = system_with(CATALOG, folder.path(), &receiver).await;
    let _dispatcher = system.dispatcher(&[]).await;
    let to_ada = |n: u64| json!({ "user": "ada", "n": n });

    ends(&system, "nothing", "unknown", "never published").await;
    publish(&system, "note.added", "later", &to_ada(1), &["--delay", "1h"]).await;
    ends(&system, "later", "scheduled", "it waits in SCHEDULED until").await;
    publish(&system, "note.added", "wrong", &json!({ "user": "ada" }), &["--no-wait"]).await;
    ends(&system, "wrong", "rejected", "the projector rejected it: ").await;

    let mut client = ada(&system).await;
    publish(&system, "note.added", "here", &to_ada(2), &[]).await;
    let received = client.next_json(BOUND).await;
    assert_eq!(received["n"], 2);
    client.send_json(&json!({ "action": "ack", "seq": received["seq"] })).await;
    let found = ends(&system, "here", "received", "received on device \"phone\"").await;
    let steps: Vec<_> =
        found["steps"].as_array().unwrap().iter().map(|step| step["text"].as_str().unwrap()).collect();
    assert!(steps[0].starts_with("stored in EVENTS at "), "{steps:?}");
    assert_eq!(steps[1], "projected to 1 message in ENVELOPES");

    publish(&system, "note.added", "role", &json!({ "role": "sre", "n": 3 }), &[]).await;
    ends(&system, "role", "not_meant", "grant no role:sre, but role:dev, user:ada").await;
    let news = json!({ "news": true, "squad": "data", "n": 4 });
    publish(&system, "note.added", "news", &news, &[]).await;
    ends(&system, "news", "not_meant", "has not subscribed to topic:news").await;
    client
        .send_json(&json!({ "action": "subscribe", "topics": ["news"], "filters": { "squad": "platform" } }))
        .await;
    client.until(BOUND, |message| message["action"] == "subscribed").await;
    publish(&system, "note.added", "filtered", &news, &[]).await;
    ends(&system, "filtered", "not_meant", "leaves out what has {\"squad\":").await;
    client.close().await;

    publish(&system, "note.added", "away", &to_ada(5), &[]).await;
    ends(&system, "away", "waits", "waits for device \"phone\", which is not connected").await;
    publish(&system, "ticket.opened", "opened", &json!({ "user": "ada", "id": "t", "n": 6 }), &[]).await;
    publish(&system, "ticket.closed", "closed", &json!({ "user": "ada", "id": "t", "n": 7 }), &[]).await;
    ends(&system, "opened", "gone", "was replaced or retracted by event \"closed\"").await;
    publish(&system, "brief.added", "brief", &to_ada(8), &[]).await;
    publish(&system, "alarm.raised", "alarm", &to_ada(9), &[]).await;
    ends(&system, "alarm", "sent", "webhook sent at ").await;
    receiver.is_gone.store(true, Ordering::SeqCst);
    publish(&system, "alarm.raised", "refused", &to_ada(10), &[]).await;
    ends(&system, "refused", "waits", "webhook failed: ").await;
    let text = ["explain", "--tenant", "hooks", "--user", "ada", "--event", "refused"];
    let text = system.command(&text).finish(BOUND).await.succeeded();
    assert!(
        text.contains("stored in EVENTS") && text.lines().last().unwrap().contains("webhook failed"),
        "{text}"
    );
    eventually("the message expires", BOUND, async || {
        let arguments = ["explain", "--tenant", "hooks", "--user", "ada", "--event", "brief"];
        let text = system.command(&arguments).finish(BOUND).await.succeeded();
        if text.contains("expired at") { Ok(()) } else { Err(text) }
    })
    .await;

    system.projector.signal(Signal::KILL);
    publish(&system, "note.added", "stuck", &to_ada(11), &["--no-wait"]).await;
    ends(&system, "stuck", "not_projected", "no projector has read it yet").await;
}
