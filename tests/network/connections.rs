//! How many connections a user and a tenant may have, and that none is counted that is not there.

use std::time::Duration;

use harness::{BOUND, Client, Dial, SECRET, Setup, System, eventually, token};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::raw::{HOME, check_too_many, request, send, status};

fn dial(system: &System, tenant: &str, user: &str) -> Dial {
    system.dial().bearer(&token(SECRET, json!({ "tenant": tenant, "sub": user })))
}

/// Opens as soon as there is room.
async fn open_when_free(system: &System, tenant: &str, user: &str) -> Client {
    eventually("room for a connection", BOUND, async || {
        dial(system, tenant, user).try_open().await.map_err(|refusal| refusal.body)
    })
    .await
}

#[tokio::test]
async fn a_connection_counts_as_long_as_it_is_there() {
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__CONNECTIONS_PER_USER", "2")
        .variable("TIDINGS_GATEWAY__CONNECTIONS_PER_TENANT", "3");
    let mut system = setup.start().await;
    let ada = request(&token(SECRET, json!({ "tenant": "ops", "sub": "ada" })));
    let mut one = send(&system, HOME, ada.as_bytes()).await;
    assert_eq!(status(&mut one).await, Some(101));
    let other = dial(&system, "ops", "ada").open().await;
    check_too_many(&dial(&system, "ops", "ada").refused().await, "TOO_MANY_CONNECTIONS_OF_USER");
    let mut bo = dial(&system, "ops", "bo").open().await;
    check_too_many(&dial(&system, "ops", "cy").refused().await, "TOO_MANY_CONNECTIONS_OF_TENANT");
    let elsewhere = dial(&system, "documents", "ada").open().await;

    // Closed as it should be; reset; just gone; and thrown out.
    other.close().await;
    let other = open_when_free(&system, "ops", "ada").await;
    one.set_zero_linger().unwrap();
    drop(one);
    let one = open_when_free(&system, "ops", "ada").await;
    drop(other);
    let other = open_when_free(&system, "ops", "ada").await;
    bo.send(Message::text(" ".repeat(64 * 16 * 1024 + 1))).await;
    assert_eq!(bo.close_code(BOUND).await, Some(1009));
    let cy = open_when_free(&system, "ops", "cy").await;
    check_too_many(&dial(&system, "ops", "ada").refused().await, "TOO_MANY_CONNECTIONS_OF_TENANT");
    drop((one, other, cy, elsewhere));
    system.check_well();
}

#[tokio::test]
async fn whoever_leaves_during_the_handshake_does_not_count() {
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__CONNECTIONS_PER_USER", "2").start().await;
    let ada = request(&token(SECRET, json!({ "tenant": "ops", "sub": "ada" })));
    for number in 0..100 {
        let stream = send(&system, HOME, ada.as_bytes()).await;
        if number % 2 == 0 {
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
    }
    let one = open_when_free(&system, "ops", "ada").await;
    let other = open_when_free(&system, "ops", "ada").await;
    drop((one, other));
    system.check_well();
}

#[tokio::test]
async fn a_tenant_may_have_limits_of_its_own() {
    let file = "[gateway.tenants.ops]\nconnections_per_tenant = 2\nconnections_per_user = 1\nmax_frame_bytes = 100\n\
                max_message_bytes = 200\nmessages_per_minute = 1\nmessage_burst = 3\n";
    let mut system = Setup::default().file(file).start().await;
    let mut ada = dial(&system, "ops", "ada").open().await;
    check_too_many(&dial(&system, "ops", "ada").refused().await, "TOO_MANY_CONNECTIONS_OF_USER");
    let bo = dial(&system, "ops", "bo").open().await;
    check_too_many(&dial(&system, "ops", "cy").refused().await, "TOO_MANY_CONNECTIONS_OF_TENANT");
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = dial(&system, "documents", "ada").open().await;
        for _ in 0..5 {
            other.expect_nothing_before_pong(BOUND).await;
        }
        others.push(other);
    }

    let data = json!({ "userId": "ada", "title": "x".repeat(200), "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
    let told = ada.next_json(BOUND).await;
    assert_eq!(told["data"]["code"], "MESSAGE_TOO_LARGE", "{told}");
    for _ in 0..3 {
        ada.expect_nothing_before_pong(BOUND).await;
    }
    ada.send_json(&json!({ "action": "ping" })).await;
    let limited = ada.next_json(BOUND).await;
    assert_eq!(limited["data"]["message"], "more than 1 messages per minute", "{limited}");
    ada.send(Message::text(" ".repeat(64 * 100 + 1))).await;
    assert_eq!(ada.close_code(Duration::from_secs(30)).await, Some(1009));
    drop(bo);
    system.check_well();
}
