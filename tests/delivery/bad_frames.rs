//! What clients should not say is answered as documented, and no other client notices. Frames that break the
//! protocol are a matter of the conformance tests.

use harness::{BOUND, Client, Setup, System};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::bad_events::hidden_depth;

const USER: &str = "ada";

/// A client that misbehaves, and another one beside it on the same shard.
async fn pair(system: &System) -> (Client, Client) {
    let topics = ["incidents"];
    let bad = system.subscribed(json!({ "tenant": "ops", "sub": "bad" }), &topics, json!({})).await;
    let other = system.subscribed(json!({ "tenant": "ops", "sub": USER }), &topics, json!({})).await;
    (bad, other)
}

/// The other client has got nothing, and gets what is for it.
async fn check_unnoticed(system: &System, other: &mut Client) {
    let data = json!({ "userId": USER, "title": "good", "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
    let message = other.next_json(BOUND).await;
    assert_eq!(message["data"]["title"], "good", "{message}");
    other.expect_nothing_before_pong(BOUND).await;
}

/// The next message is an error in the documented form; its `data`.
async fn error(client: &mut Client) -> Value {
    let mut message = client.next_json(BOUND).await;
    let (data, timestamp) = (message["data"].take(), message["timestamp"].take());
    assert_eq!(message, json!({ "type": "error", "action": "created", "data": null, "timestamp": null }));
    assert!(timestamp.as_str().is_some_and(|time| time.ends_with('Z')), "{timestamp}");
    data
}

/// One shard, so that whatever befalls it befalls the other client, too.
fn setup() -> Setup {
    Setup::default().variable("TIDINGS_GATEWAY__WORKERS", "1")
}

#[tokio::test]
async fn what_cannot_be_understood_is_answered_in_words() {
    let mut system = setup().start().await;
    let (mut bad, mut other) = pair(&system).await;
    let topics = "incidents, metrics, tasks";
    let many: Vec<String> = (0..101).map(|number| format!("t{number}")).collect();
    for (frame, code, message) in [
        (
            json!("ping"),
            "INVALID_MESSAGE",
            "the message is the string \"ping\", expected a JSON object such as {\"action\":\"ping\"}",
        ),
        (
            json!([1]),
            "INVALID_MESSAGE",
            "the message is an array of 1, expected a JSON object such as {\"action\":\"ping\"}",
        ),
        (
            json!({}),
            "INVALID_MESSAGE",
            "the message has neither `action` nor `type`, expected one of them to name an action",
        ),
        (json!({ "action": 7 }), "INVALID_MESSAGE", "`action` is the number \"7\", expected a string"),
        (json!({ "action": "dance" }), "UNKNOWN_ACTION", "there is no action \"dance\""),
        // What the contract's test with wscat sends, from somebody who has not the role.
        (
            json!({ "type": "incident", "action": "created", "data": {} }),
            "FORBIDDEN",
            "your roles do not permit \"created\" of type \"incident\"",
        ),
        (
            json!({ "type": "task", "action": "created", "data": {} }),
            "UNKNOWN_ACTION",
            "there is no action \"created\" of type \"task\"",
        ),
        (json!({ "action": "progress", "docId": "d" }), "UNKNOWN_ACTION", "there is no action \"progress\""),
        (
            json!({ "action": "subscribe" }),
            "INVALID_MESSAGE",
            "`topics` is missing, expected an array of strings",
        ),
        (
            json!({ "action": "subscribe", "topics": "incidents" }),
            "INVALID_MESSAGE",
            "`topics` is the string \"incidents\", expected an array of strings",
        ),
        (
            json!({ "action": "subscribe", "topics": ["incidents", 1] }),
            "INVALID_MESSAGE",
            "`topics[1]` is the number \"1\", expected a string",
        ),
        (
            json!({ "action": "subscribe", "topics": many }),
            "TOO_MANY_TOPICS",
            "`topics` has 101 elements, expected at most 100 in one message",
        ),
        (
            json!({ "action": "subscribe", "topics": ["incidents"], "filters": [] }),
            "INVALID_MESSAGE",
            "`filters` is an array of 0, expected an object of attributes",
        ),
        (json!({ "action": "authenticate" }), "INVALID_MESSAGE", "`token` is missing, expected a string"),
        (
            json!({ "action": "ack", "seq": -1 }),
            "INVALID_MESSAGE",
            "`seq` is the number \"-1\", expected the sequence of a received message, a whole number",
        ),
    ] {
        let mut frame = frame;
        let mut expected = json!({ "code": code, "message": message });
        if let Some(members) = frame.as_object_mut() {
            members.insert("id".to_owned(), json!("msg-123"));
            expected["original_message_id"] = "msg-123".into();
        }
        bad.send_json(&frame).await;
        assert_eq!(error(&mut bad).await, expected, "in answer to {frame}");
    }
    bad.send_json(&json!({ "action": "subscribe", "topics": ["tasks", "gossip"], "message_id": 1 })).await;
    let unknown = error(&mut bad).await;
    assert_eq!((&unknown["code"], &unknown["original_message_id"]), (&json!("UNKNOWN_TOPIC"), &json!(1)));
    let message = unknown["message"].as_str().unwrap();
    assert!(message.starts_with("there is no topic \"gossip\"; there are: "), "{message}");
    assert!(topics.split(", ").all(|topic| message.contains(topic)), "{message}");

    for text in ["", "{", "{\"action\":\"ping\"", "\u{0}", "nonsense"] {
        bad.send(Message::text(text)).await;
        let data = error(&mut bad).await;
        assert_eq!(data["code"], "INVALID_MESSAGE");
        assert!(data["message"].as_str().unwrap().starts_with("the message is not JSON: "), "{data}");
    }
    bad.send(Message::binary(vec![0, 159, 146, 150])).await;
    let text = "a binary message is not understood, expected text";
    assert_eq!(error(&mut bad).await, json!({ "code": "UNSUPPORTED_DATA", "message": text }));

    // None of it was fatal, and none of the refused subscriptions counts.
    let task = json!({ "id": "t", "jira_id": "T", "title": "t", "status": "todo", "squad": "s" });
    system.publish("ops", "task.created", &task).await;
    check_unnoticed(&system, &mut other).await;
    bad.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}

#[tokio::test]
async fn where_long_messages_are_allowed_their_parts_are_not() {
    let mut system = setup().variable("TIDINGS_GATEWAY__MAX_FRAME_BYTES", "2 MiB").start().await;
    let (mut bad, mut other) = pair(&system).await;
    let topics: Vec<String> = (0..10_000).map(|number| format!("t{number}")).collect();
    bad.send_json(&json!({ "action": "subscribe", "topics": topics, "id": "m" })).await;
    let text = "`topics` has 10000 elements, expected at most 100 in one message";
    let expected = json!({ "code": "TOO_MANY_TOPICS", "message": text, "original_message_id": "m" });
    assert_eq!(error(&mut bad).await, expected);

    for (text, reason) in [
        ("[".repeat(100_000), "recursion limit exceeded"),
        (r#"{"action":"#.repeat(100_000), "recursion limit exceeded"),
        (format!(r#"{{"action":"ping","x":{}}}"#, hidden_depth(1024 * 1024)), "is reserved"),
        (hidden_depth(15 * 1024), "is reserved"),
    ] {
        bad.send(Message::text(text)).await;
        let data = error(&mut bad).await;
        assert_eq!(data["code"], "INVALID_MESSAGE");
        assert!(data["message"].as_str().unwrap().contains(reason), "{data}");
    }
    let long = "x".repeat(1_000_000);
    bad.send_json(&json!({ "action": long })).await;
    let data = error(&mut bad).await;
    assert!(data.to_string().len() < 300, "an answer does not repeat what is too long: {data:.400}");
    check_unnoticed(&system, &mut other).await;
    bad.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}

#[tokio::test]
async fn who_says_too_much_is_told_and_then_disconnected() {
    // A burst of five, and more only after minutes.
    let setup = setup()
        .variable("TIDINGS_GATEWAY__MESSAGES_PER_MINUTE", "1")
        .variable("TIDINGS_GATEWAY__MESSAGE_BURST", "5");
    let mut system = setup.start().await;
    // What opening and looking for silence takes is one message each.
    let mut other = system.open(json!({ "tenant": "ops", "sub": USER })).await;
    let mut bad = system.open(json!({ "tenant": "ops", "sub": "bad" })).await;
    for _ in 1..5 {
        bad.expect_nothing_before_pong(BOUND).await;
    }
    for _ in 0..5 {
        bad.send_json(&json!({ "action": "ping" })).await;
        let mut data = error(&mut bad).await;
        assert!(data["retry_after_ms"].take().as_u64().is_some_and(|wait| wait > 0));
        let expected = json!({ "code": "RATE_LIMITED", "message": "more than 1 messages per minute", "retry_after_ms": null });
        assert_eq!(data, expected);
    }
    check_unnoticed(&system, &mut other).await;
    bad.send_json(&json!({ "action": "ping" })).await;
    assert_eq!(bad.close_code(BOUND).await, Some(4002));
    system.check_well();
}
