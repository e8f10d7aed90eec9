//! How much a user may say.

use std::time::Duration;

use harness::{BOUND, Client, Setup, System};
use serde_json::{Value, json};

const MESSAGE: &str = "more than 20 messages per minute on all connections of this user";

/// A burst of six on all connections together, and another message every three seconds.
async fn start() -> System {
    Setup::default()
        .variable("TIDINGS_GATEWAY__USER_MESSAGES_PER_MINUTE", "20")
        .variable("TIDINGS_GATEWAY__USER_MESSAGE_BURST", "6")
        .variable("TIDINGS_GATEWAY__MESSAGE_BURST", "10")
        .start()
        .await
}

async fn user(system: &System, name: &str) -> Client {
    system
        .dial()
        .bearer(&harness::token(harness::SECRET, json!({ "tenant": "ops", "sub": name })))
        .open()
        .await
}

/// What is answered to a message.
async fn ask(client: &mut Client) -> Value {
    client.send_json(&json!({ "action": "ping" })).await;
    client.next_json(BOUND).await
}

/// Says so much that it is refused, and returns how long the client is told to wait.
async fn until_refused(client: &mut Client) -> Duration {
    for _ in 0..20 {
        let answer = ask(client).await;
        if answer["action"] != "pong" {
            let data = &answer["data"];
            assert_eq!(
                (&data["code"], &data["message"]),
                (&json!("RATE_LIMITED"), &json!(MESSAGE)),
                "{answer}"
            );
            return Duration::from_millis(data["retry_after_ms"].as_u64().unwrap());
        }
    }
    panic!("nobody objects to 20 messages");
}

#[tokio::test]
async fn connections_of_a_user_share_what_the_user_may_say() {
    let mut system = start().await;
    let (mut one, mut other) = (user(&system, "ada").await, user(&system, "ada").await);
    let mut bo = user(&system, "bo").await;
    until_refused(&mut one).await;
    let wait = until_refused(&mut other).await;
    assert!(Duration::ZERO < wait && wait <= Duration::from_secs(3), "{wait:?}");
    for _ in 0..6 {
        assert_eq!(ask(&mut bo).await["action"], "pong", "another user is not concerned");
    }
    // What is tested is that so long is long enough.
    tokio::time::sleep(wait).await;
    assert_eq!(ask(&mut other).await["action"], "pong");
    system.check_well();
}

#[tokio::test]
async fn only_the_connection_that_goes_on_regardless_ends() {
    let mut system = start().await;
    let (mut bad, mut other) = (user(&system, "ada").await, user(&system, "ada").await);
    until_refused(&mut bad).await;
    // Ten refusals in a row are answered; even if one in between is allowed by now, so many are not.
    for _ in 0..30 {
        bad.send_json(&json!({ "action": "ping" })).await;
    }
    assert_eq!(bad.close_code(BOUND).await, Some(4002));
    let data = json!({ "userId": "ada", "title": "t", "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
    assert_eq!(other.next_json(BOUND).await["data"]["title"], "t");
    system.check_well();
}

/// Who is sent much has much to acknowledge. What is acknowledged again says nothing, and counts as anything else.
#[tokio::test]
async fn acknowledging_what_was_received_is_no_matter_of_the_limits() {
    let mut system = start().await;
    let token = harness::token(harness::SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let mut ada = system.dial().bearer(&token).subprotocol("tidings.v1").open().await;
    ada.until(BOUND, |message| message["action"] == "caught_up").await;
    let data = json!({ "userId": "ada", "title": "t", "message": "", "type": "info", "priority": "low" });
    let mut last = 0;
    for _ in 0..40 {
        system.publish("ops", "notification.created", &data).await;
        last = ada.next_json(BOUND).await["seq"].as_u64().unwrap();
        ada.send_json(&json!({ "action": "ack", "seq": last })).await;
    }
    assert_eq!(ask(&mut ada).await["action"], "pong");
    for _ in 0..40 {
        ada.send_json(&json!({ "action": "ack", "seq": last })).await;
    }
    assert_eq!(ada.close_code(BOUND).await, Some(4002));
    system.check_well();
}
