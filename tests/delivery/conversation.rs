//! What clients say and what they are answered, as the contracts document it.

use harness::{BOUND, Client, Dial, SECRET, System, token};
use serde_json::{Value, json};

fn incident(id: &str, squad: &str) -> Value {
    json!({ "id": id, "jira_id": "I-1", "title": "t", "severity": "low", "status": "open", "squad": squad })
}

fn task(id: &str, squad: &str) -> Value {
    json!({ "id": id, "jira_id": "T-1", "title": "t", "status": "todo", "squad": squad })
}

fn alert(id: &str, environment: &str) -> Value {
    json!({
        "id": id, "metric": "cpu", "value": 95, "threshold": 90, "operator": "greater_than", "severity": "high",
        "environment": environment, "triggered_at": "2025-01-17T13:00:00Z",
    })
}

fn with(mut data: Value, member: &str, value: impl Into<Value>) -> Value {
    data[member] = value.into();
    data
}

/// The ids of what comes to the client, up to the incident `end`.
async fn ids(client: &mut Client) -> Vec<String> {
    let messages = client.until(BOUND, |message| message["data"]["id"] == "end").await;
    messages.iter().map(|message| message["data"]["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn filters_narrow_what_topics_bring() {
    let mut system = System::start().await;
    let ops = |user: &str| json!({ "tenant": "ops", "sub": user });
    let topics = ["incidents", "tasks", "alerts"];
    // The subscription of the contract.
    let contract = json!({ "environment": "production", "squad": "platform" });
    let mut contract = system.subscribed(ops("contract"), &topics, contract).await;
    let lists = json!({ "environment": ["production", "staging"], "squad": ["platform", "security"] });
    let mut lists = system.subscribed(ops("lists"), &topics, lists).await;
    let mut all = system.subscribed(ops("all"), &topics, json!({})).await;
    let mut incidents =
        system.subscribed(ops("incidents"), &["incidents"], json!({ "squad": "security" })).await;
    let mut nothing = system.open(ops("nothing")).await;
    nothing.send_json(&json!({ "action": "unsubscribe", "topics": topics })).await;
    let others = json!({ "action": "unsubscribe", "topics": ["assets", "metrics", "notifications"] });
    nothing.send_json(&others).await;
    nothing.expect_nothing_before_pong(BOUND).await;

    for (event, data) in [
        ("incident.created", incident("platform", "platform")),
        ("incident.updated", incident("security", "security")),
        // What an event does not say does not keep it out; what it says does.
        ("incident.created", with(incident("staging", "platform"), "environment", "staging")),
        ("task.created", task("task", "platform")),
        ("task.deleted", task("task-data", "data")),
        ("alert.created", alert("production", "production")),
        ("alert.updated", alert("dev", "dev")),
        ("alert.created", with(alert("squad", "production"), "squad", "data")),
        (
            "asset.created",
            json!({
                "id": "asset", "hostname": "h", "asset_type": "EC2", "risk_level": "low", "environment": "production",
            }),
        ),
        ("incident.created", incident("end", "platform")),
        ("incident.created", incident("end", "security")),
    ] {
        system.publish("ops", event, &data).await;
    }
    assert_eq!(ids(&mut contract).await, ["platform", "task", "production", "end"]);
    assert_eq!(ids(&mut lists).await, ["platform", "security", "staging", "task", "production", "end"]);
    let everything =
        ["platform", "security", "staging", "task", "task-data", "production", "dev", "squad", "end"];
    assert_eq!(ids(&mut all).await, everything);
    assert_eq!(ids(&mut incidents).await, ["security", "end"]);
    let marker = json!({ "userId": "nothing", "id": "end", "title": "", "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &marker).await;
    assert_eq!(ids(&mut nothing).await, ["end"]);
    system.check_well();
}

#[tokio::test]
async fn subscriptions_change_and_end() {
    let mut system = System::start().await;
    let ada = json!({ "tenant": "ops", "sub": "ada" });
    let mut client = system.subscribed(ada, &["incidents", "tasks"], json!({ "squad": "platform" })).await;
    let publish_all = async || {
        for (event, data) in [
            ("incident.created", incident("platform", "platform")),
            ("incident.created", incident("security", "security")),
            ("task.created", task("task", "platform")),
            ("task.created", task("task-security", "security")),
        ] {
            system.publish("ops", event, &data).await;
        }
        let marker = json!({ "userId": "ada", "id": "end", "title": "", "message": "", "type": "info", "priority": "low" });
        system.publish("ops", "notification.created", &marker).await;
    };
    let say = async |client: &mut Client, message: Value| {
        client.send_json(&message).await;
        client.expect_nothing_before_pong(BOUND).await;
    };
    publish_all().await;
    assert_eq!(ids(&mut client).await, ["platform", "task", "end"]);

    // The same topic again replaces its filter; others keep theirs.
    let filter = json!({ "squad": "security" });
    say(&mut client, json!({ "action": "subscribe", "topics": ["incidents"], "filters": filter })).await;
    publish_all().await;
    assert_eq!(ids(&mut client).await, ["security", "task", "end"]);

    say(&mut client, json!({ "type": "unsubscribe", "topics": ["incidents", "metrics"] })).await;
    publish_all().await;
    assert_eq!(ids(&mut client).await, ["task", "end"]);

    say(&mut client, json!({ "action": "subscribe", "topics": ["tasks"] })).await;
    publish_all().await;
    assert_eq!(ids(&mut client).await, ["task", "task-security", "end"]);

    say(&mut client, json!({ "action": "unsubscribe", "topics": ["tasks"] })).await;
    publish_all().await;
    assert_eq!(ids(&mut client).await, ["end"]);
    system.check_well();
}

/// What a device has asked for is what it has when it returns, be it less than the catalog opens from the start.
#[tokio::test]
async fn initial_topics_last_until_a_device_asks() {
    let mut system = System::start().await;
    let open = async |user: &str| {
        let claims = token(SECRET, json!({ "tenant": "ops", "sub": user }));
        Dial::new(system.address()).query("device", "d").bearer(&claims).open().await
    };
    let publish_all = async |round: usize| {
        let id = |name: &str| format!("{name}-{round}");
        let announcement =
            json!({ "id": id("all"), "title": "", "message": "", "type": "info", "priority": "low" });
        for (event, data) in [
            ("incident.created", incident(&id("incident"), "platform")),
            ("task.created", task(&id("task"), "platform")),
            ("announcement.created", with(announcement.clone(), "environment", "dev")),
        ] {
            system.publish("ops", event, &data).await;
        }
        for user in ["silent", "less", "one", "none"] {
            let marker = with(with(announcement.clone(), "userId", user), "id", id("end"));
            system.publish("ops", "notification.created", &marker).await;
        }
    };
    // What a client did not acknowledge before it left comes again, and is of an earlier round.
    let names = async |client: &mut Client, round: usize| {
        let end = format!("end-{round}");
        let messages = client.until(BOUND, |message| message["data"]["id"] == end.as_str()).await;
        let ids = messages.iter().filter_map(|message| message["data"]["id"].as_str()?.rsplit_once('-'));
        let own = ids.filter(|(_, of)| *of == round.to_string());
        own.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    let say = async |client: &mut Client, message: Value| {
        client.send_json(&message).await;
        client.expect_nothing_before_pong(BOUND).await;
    };
    let subscribe = |topic: &str| {
        let filters = json!({ "environment": "dev", "squad": "data" });
        json!({ "action": "subscribe", "topics": [topic], "filters": filters })
    };
    let topics = ["incidents", "tasks", "assets", "alerts", "metrics", "notifications"];
    let [mut silent, mut less] = [open("silent").await, open("less").await];
    let [mut one, mut none] = [open("one").await, open("none").await];
    silent.expect_nothing_before_pong(BOUND).await;
    say(&mut less, json!({ "action": "unsubscribe", "topics": ["incidents"] })).await;
    say(&mut one, subscribe("notifications")).await;
    say(&mut none, json!({ "action": "unsubscribe", "topics": topics })).await;
    for round in 0..3 {
        if round == 1 {
            // What comes while it is away it receives, too.
            for client in [silent, less, one, none] {
                client.close().await;
            }
            publish_all(round).await;
            [silent, less] = [open("silent").await, open("less").await];
            [one, none] = [open("one").await, open("none").await];
        } else {
            publish_all(round).await;
        }
        assert_eq!(names(&mut silent, round).await, ["incident", "task", "all", "end"], "{round}");
        assert_eq!(names(&mut less, round).await, ["task", "all", "end"], "{round}");
        assert_eq!(names(&mut one, round).await, ["all", "end"], "{round}");
        assert_eq!(names(&mut none, round).await, ["end"], "{round}");
    }
    let show = ["consumers", "show", "--tenant", "ops", "--user", "silent", "--device", "d"];
    let shown: Value = serde_json::from_str(&system.command(&show).finish(BOUND).await.succeeded()).unwrap();
    let shown: Vec<&String> = shown["subscriptions"].as_object().unwrap().keys().collect();
    assert_eq!(shown, ["alerts", "assets", "incidents", "metrics", "notifications", "tasks"]);
    system.check_well();
}

#[tokio::test]
async fn pings_are_answered_in_both_spellings() {
    let mut system = System::start().await;
    let mut client = system.open(json!({ "tenant": "uploads", "sub": "ada" })).await;
    for ping in [json!({ "action": "ping" }), json!({ "type": "ping" })] {
        client.send_json(&ping).await;
        let mut pong = client.next_json(BOUND).await;
        let timestamp = pong["timestamp"].take();
        assert_eq!(pong, json!({ "action": "pong", "timestamp": null }));
        let timestamp = timestamp.as_str().unwrap();
        assert!(timestamp.ends_with('Z') && timestamp.contains('T'), "{timestamp}");
    }
    system.check_well();
}

#[tokio::test]
async fn progress_is_answered_with_the_newest_state() {
    let mut system = System::start().await;
    let mut ada = system.open(json!({ "tenant": "documents", "sub": "ada" })).await;
    let mut bo = system.open(json!({ "tenant": "documents", "sub": "bo" })).await;
    let ask = async |client: &mut Client, doc: &str| {
        client.send_json(&json!({ "action": "progress", "docId": doc, "message_id": 7 })).await;
        client.next_json(BOUND).await
    };
    let not_found = |doc: &str| {
        let message = format!("no progress for {doc:?}");
        json!({ "code": "NOT_FOUND", "message": message, "original_message_id": 7 })
    };
    assert_eq!(ask(&mut ada, "doc-1").await["data"], not_found("doc-1"));

    for (event, data) in [
        ("processing.started", json!({ "totalPages": 12 })),
        ("processing.progressed", json!({ "pagesProcessed": 5, "totalPages": 12 })),
        ("processing.progressed", json!({ "pagesProcessed": 9, "totalPages": 12 })),
        ("processing.failed", json!({ "errorCode": "E", "message": "m", "recoverable": true })),
        ("processing.completed", json!({})),
    ] {
        let data = with(with(data, "docId", "doc-1"), "userId", "ada");
        system.publish("documents", event, &data).await;
        let message = ada.next_json(BOUND).await;
        assert_eq!(ask(&mut ada, "doc-1").await, with(message, "original_message_id", 7));
    }
    let complete = json!({ "status": "processing_complete", "docId": "doc-1", "original_message_id": 7 });
    assert_eq!(ask(&mut ada, "doc-1").await, complete);

    // Neither another user's document nor one that tries to be a subject of its own.
    for doc in ["doc-1", "doc-2", "*", ">", "ada.processing.doc-1", "", "é\u{0}"] {
        assert_eq!(ask(&mut bo, doc).await["data"], not_found(doc), "{doc:?}");
    }
    // Another document of the same user has its own state.
    let other = json!({ "userId": "ada", "docId": "doc.2 *", "totalPages": 3 });
    system.publish("documents", "processing.started", &other).await;
    let started = ada.next_json(BOUND).await;
    assert_eq!(ask(&mut ada, "doc.2 *").await, with(started, "original_message_id", 7));
    assert_eq!(ask(&mut ada, "doc-1").await["status"], "processing_complete");

    ada.send_json(&json!({ "action": "progress", "id": "p" })).await;
    let message = "`docId` is missing, expected a string that names what progress is asked of";
    let expected = json!({ "code": "INVALID_MESSAGE", "message": message, "original_message_id": "p" });
    assert_eq!(ada.next_json(BOUND).await["data"], expected);
    bo.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}

#[tokio::test]
async fn sequenced_clients_get_positions_and_confirmations() {
    let mut system = System::start().await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada", "exp": 4_102_444_800_u64 }));
    let mut client = system.dial().bearer(&ada).subprotocol("chat, tidings.v1").open().await;
    assert_eq!(client.subprotocol(), Some("tidings.v1"));
    let mut plain = system.dial().bearer(&ada).open().await;
    assert_eq!(plain.subprotocol(), None);
    plain.expect_nothing_before_pong(BOUND).await;

    let welcome = client.next_json(BOUND).await;
    assert_eq!(welcome["action"], "welcome");
    assert_eq!(welcome["expires"], "2100-01-01T00:00:00.000Z");
    assert!(welcome["consumer"].as_str().unwrap().starts_with("ada/device-"), "{welcome}");
    let (epoch, _) = welcome["position"].as_str().unwrap().split_once('-').unwrap();
    assert!(!epoch.is_empty(), "{welcome}");

    for (topics, all) in [(["tasks"], json!(["tasks"])), (["alerts"], json!(["alerts", "tasks"]))] {
        client.send_json(&json!({ "action": "subscribe", "topics": topics, "id": "s1" })).await;
        let answers = client.until(BOUND, |message| message["action"] == "subscribed").await;
        let answer = answers.last().unwrap();
        assert_eq!((&answer["topics"], &answer["original_message_id"]), (&all, &json!("s1")));
    }
    client.send_json(&json!({ "action": "unsubscribe", "topics": ["alerts"], "id": 17.0 })).await;
    let answer = client.next_json(BOUND).await;
    assert_eq!((&answer["action"], &answer["topics"]), (&json!("unsubscribed"), &json!(["tasks"])));
    assert_eq!(answer["original_message_id"].to_string(), "17.0", "with the client's own digits");

    client.send_json(&json!({ "action": "authenticate", "token": ada, "id": "a1" })).await;
    let answer = client.next_json(BOUND).await;
    assert_eq!((&answer["action"], &answer["original_message_id"]), (&json!("authenticated"), &json!("a1")));
    assert_eq!(answer["expires"], "2100-01-01T00:00:00.000Z");

    let mut last = 0;
    for id in ["first", "second"] {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/tests", "type": "t", "time": "2025-01-17T14:00:00Z",
            "data": { "userId": "ada", "title": id, "message": "", "type": "info", "priority": "low" },
        });
        system.publish("ops", "notification.created", &event).await;
        let text = client.next_text(BOUND).await;
        let mut message: Value = serde_json::from_str(&text).unwrap();
        let sequence = message["seq"].as_u64().unwrap();
        assert!(
            text.starts_with(&format!(r#"{{"seq":{sequence},"id":"{id}","type":"notification""#)),
            "{text}"
        );
        assert!(sequence > last);
        last = sequence;

        let body = plain.next_json(BOUND).await;
        for member in ["seq", "id"] {
            message.as_object_mut().unwrap().shift_remove(member);
        }
        assert_eq!(message, body);
    }
    client.send_json(&json!({ "action": "ack", "seq": last })).await;
    client.expect_nothing_before_pong(BOUND).await;
    client.send_json(&json!({ "action": "ack", "seq": last + 1 })).await;
    assert_eq!(client.next_json(BOUND).await["data"]["code"], "INVALID_MESSAGE");
    system.check_well();
}
