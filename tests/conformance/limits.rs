//! How much one connection may send, and what it may have waiting for it.

use std::fs;

use harness::{BOUND, Setup, System};
use serde_json::json;

use crate::raw::{FINAL, PING, PONG, Raw, TEXT, frame, text};

fn limited() -> Setup {
    Setup::default()
        .variable("TIDINGS_GATEWAY__FRAMES_PER_MINUTE", "1")
        .variable("TIDINGS_GATEWAY__FRAME_BURST", "50")
        .variable("TIDINGS_GATEWAY__BYTES_PER_MINUTE", "1000")
        .variable("TIDINGS_GATEWAY__BYTE_BURST", "100 kB")
}

/// Reads up to the warning, and what it says.
async fn warned(raw: &mut Raw) -> String {
    let answer = raw.next_json_past_pongs().await;
    assert_eq!(answer["data"]["code"], "RATE_LIMITED", "{answer}");
    assert!(answer["data"]["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{answer}");
    answer["data"]["message"].as_str().unwrap().to_owned()
}

async fn closed(raw: &mut Raw) {
    loop {
        match raw.next().await {
            Some((0x88, payload)) => {
                assert_eq!(payload[..2], 4002_u16.to_be_bytes());
                return;
            }
            Some((first, _)) if first == FINAL | PONG => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Empty fragments, Pings, Pongs and texts cost a gateway the same, and none of them is free.
#[tokio::test]
async fn frames_of_every_kind_are_limited() {
    let mut system = limited().start().await;
    let mut other = system.open(json!({ "tenant": "ops", "sub": "other" })).await;
    for kind in [frame(FINAL | PING, b""), frame(FINAL | PONG, b"x"), frame(0, b"")] {
        let mut raw = Raw::open(&system).await;
        // Within it, or before it, a message that is never finished.
        raw.send(&frame(TEXT, b"")).await;
        raw.send(&kind.repeat(60)).await;
        assert_eq!(warned(&mut raw).await, "more than 1 frames per minute");
        raw.send(&kind.repeat(60)).await;
        closed(&mut raw).await;
    }
    other.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}

#[tokio::test]
async fn bytes_are_limited_whether_they_become_messages_or_not() {
    let mut system = limited().start().await;
    let noise = frame(FINAL | TEXT, &[b' '; 16_000]);
    let mut raw = Raw::open(&system).await;
    for _ in 0..7 {
        raw.send(&noise).await;
    }
    loop {
        let answer = raw.next_json_past_pongs().await;
        if answer["data"]["code"] == "RATE_LIMITED" {
            assert_eq!(answer["data"]["message"], "more than 1000 bytes per minute");
            break;
        }
        assert_eq!(answer["data"]["code"], "INVALID_MESSAGE");
    }
    let mut raw = Raw::open(&system).await;
    raw.send(&frame(FINAL | TEXT, &vec![b' '; 300_000])).await;
    loop {
        let (first, payload) = raw.next_but_pings().await.unwrap();
        if first == 0x88 {
            assert_eq!(payload[..2], 4002_u16.to_be_bytes());
            break;
        }
    }
    system.check_well();
}

/// Whoever asks and does not read is held back, and what it was answered is bounded however often it asks.
#[tokio::test]
async fn answers_that_nobody_reads_are_bounded() {
    const ASKING: usize = 16;
    const ROUNDS: usize = 150;
    let mut system = System::start().await;
    let long = json!({ "userId": "ada", "docId": "d1", "errorCode": "x", "message": "m".repeat(120_000), "recoverable": true });
    let mut ada = system.open(json!({ "tenant": "documents", "sub": "ada" })).await;
    system.publish("documents", "processing.failed", &long).await;
    ada.next_json(BOUND).await;

    let before = resident(&system);
    let mut asking = Vec::new();
    for _ in 0..ASKING {
        asking.push(Raw::open_as(&system, json!({ "tenant": "documents", "sub": "ada" }), "").await);
    }
    let request = text(&json!({ "action": "progress", "docId": "d1" }));
    let mut most = 0;
    for _ in 0..ROUNDS {
        for raw in &mut asking {
            raw.send(&request).await;
        }
        // Who reads is answered all the time.
        ada.send_json(&json!({ "action": "progress", "docId": "d1" })).await;
        assert_eq!(ada.next_json(BOUND).await["status"], "error");
        most = resident(&system).max(most);
    }
    // As many windows and answers, and what an allocator makes of them; without a bound it is ten times as much.
    let grown = most.saturating_sub(before);
    assert!(grown < 40_000_000, "the gateway has grown by {grown} bytes");

    // Nothing is lost: whoever reads again gets what it asked for, and goes on.
    let raw = &mut asking[0];
    raw.send(&text(&json!({ "action": "ping", "id": "last" }))).await;
    let mut answers = 0;
    while raw.next_json_past_pongs().await["original_message_id"] != "last" {
        answers += 1;
    }
    assert!(answers >= ROUNDS / 2, "{answers} answers");
    system.check_well();
}

/// However many topics are asked for together, the consumer is written a few times; and each request is confirmed.
#[tokio::test]
async fn a_burst_of_subscriptions_is_confirmed_by_few_writes() {
    let mut system = System::start().await;
    let mut raw = Raw::open_with(&system, "Sec-WebSocket-Protocol: tidings.v1\r\n").await;
    while raw.next_json().await["action"] != "caught_up" {}
    let context = async_nats::jetstream::new(system.client().clone());
    let written =
        async || context.get_stream("KV_CONSUMERS").await.unwrap().cached_info().state.last_sequence;
    let before = written().await;
    let action = |id: usize| if id.is_multiple_of(2) { "subscribe" } else { "unsubscribe" };
    let requests =
        (0..39).map(|id| text(&json!({ "action": action(id), "topics": ["incidents"], "id": id })));
    raw.send(&requests.flatten().collect::<Vec<u8>>()).await;
    for id in 0..39 {
        let answer = raw.next_json().await;
        assert_eq!(answer["original_message_id"], id, "{answer}");
        assert_eq!(answer["action"], format!("{}d", action(id)), "{answer}");
    }
    let writes = written().await - before;
    // With one of its presence, as it has just come.
    assert!((1..=6).contains(&writes), "{writes} writes");
    system.check_well();
}

/// Resident memory of the gateway, in bytes.
fn resident(system: &System) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", system.gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
