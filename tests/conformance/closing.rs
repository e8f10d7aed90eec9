//! The closing handshake (RFC 6455, section 7), whoever begins it.

use harness::{BOUND, System};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::raw::{CLOSE, FINAL, PING, Raw, TEXT, frame, text};

/// The payload of a Close.
fn because(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

#[tokio::test]
async fn a_client_that_closes_is_answered_with_its_code() {
    let mut system = System::start().await;
    let longest = "é".repeat(61);
    for (code, reason) in
        [(1000, ""), (1000, "good night"), (1001, ""), (1011, ""), (3000, ""), (4999, &longest)]
    {
        let mut raw = Raw::open(&system).await;
        raw.send(&frame(FINAL | CLOSE, &because(code, reason))).await;
        raw.expect_close(code, "").await;
    }
    let mut silent = Raw::open(&system).await;
    silent.send(&frame(FINAL | CLOSE, b"")).await;
    silent.expect_close(1000, "").await;

    for (sent, code) in [(None, 1000), (Some((4000.into(), "good night")), 4000)] {
        let mut peer = system.open(json!({ "tenant": "ops", "sub": "peer" })).await;
        let close = sent.map(|(code, reason)| CloseFrame { code, reason: reason.into() });
        peer.send(Message::Close(close)).await;
        assert_eq!(peer.close_code(BOUND).await, Some(code));
    }
    system.check_well();
}

#[tokio::test]
async fn what_follows_a_close_is_ignored_and_what_came_before_is_answered() {
    let mut system = System::start().await;
    let mut raw = Raw::open(&system).await;
    let frames = [
        frame(FINAL | PING, b"1"),
        text(&json!({ "action": "ping" })),
        // Within a message that is not finished.
        frame(TEXT, b"{"),
        frame(FINAL | CLOSE, &because(1000, "")),
        frame(FINAL | PING, b"2"),
        frame(FINAL, b"}"),
        vec![0xFF; 100],
    ];
    raw.send(&frames.concat()).await;
    raw.expect_pong(b"1").await;
    raw.expect_answer().await;
    raw.expect_close(1000, "").await;
    system.check_well();
}

#[tokio::test]
async fn a_gateway_that_closes_says_why_and_takes_the_answer() {
    let system = System::start().await;
    let (mut answering, mut silent) = (Raw::open(&system).await, Raw::open(&system).await);
    let mut peer = system.open(json!({ "tenant": "ops", "sub": "peer" })).await;
    system.gateway.interrupt();
    let reason = "the gateway is shutting down";
    answering.expect_close(1001, reason).await;
    // What was on its way meanwhile harms nobody.
    answering.send(&frame(FINAL | PING, b"late")).await;
    answering.send(&frame(FINAL | CLOSE, &because(1001, ""))).await;
    answering.expect_end().await;
    assert_eq!(peer.close_code(BOUND).await, Some(1001));
    // Whoever does not answer keeps nobody waiting.
    silent.expect_close(1001, reason).await;
    let (status, output) = system.gateway.end(BOUND).await;
    assert!(status.success() && !output.contains("panicked"), "{output}");
}
