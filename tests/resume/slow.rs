//! A client that stops reading under load: it costs a window and nothing else, and loses nothing.

use std::fs;

use harness::{BOUND, eventually};
use serde_json::json;

use crate::dial::{Gateway, dial, numbers};
use crate::site::Site;

/// What passes by while one client does not read: 50 MB.
const NOTES: u64 = 1_600;
const PADDING: usize = 32 * 1024;

/// Resident memory in bytes.
fn memory(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.process.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stalls_costs_a_window_and_loses_nothing() {
    let site = Site::setup().variable("TIDINGS_GATEWAY__HOT_TAIL_BYTES", "1MB").start().await;
    let gateway = site.gateway().await;
    let roles = ["guard"];
    let stalled = dial("ada").roles(&roles).sequenced().receive_buffer(16 * 1024);
    let mut stalled = stalled.open(&gateway).await;
    stalled.until(|message| message["action"] == "caught_up").await;
    let mut browser = dial("cy").roles(&roles).receive_buffer(16 * 1024).open(&gateway).await;
    browser.silence().await;
    let mut brisk = dial("bo").roles(&roles).sequenced().open(&gateway).await;
    brisk.until(|message| message["action"] == "caught_up").await;

    let before = memory(&gateway);
    let padding = "x".repeat(PADDING);
    let sending = async {
        for n in 1..=NOTES {
            site.publish("order.given", json!({ "role": "guard", "n": n, "padding": padding })).await;
        }
    };
    let reading = async {
        for n in 1..=NOTES {
            let message = brisk.message().await;
            assert_eq!(message["n"], n);
            brisk.ack(message["seq"].as_u64().unwrap()).await;
        }
    };
    tokio::join!(sending, reading);
    let grown = memory(&gateway).saturating_sub(before);
    // Two windows and the hot tail, and what a debug build, an allocator and one read of the stream take.
    assert!(grown < 40_000_000, "the gateway has grown by {grown} bytes");

    // From where they were, in order, to the end.
    for client in [&mut stalled, &mut browser] {
        let heard = client.until(|message| message["n"] == NOTES).await;
        assert_eq!(numbers(&heard), (1..=NOTES).collect::<Vec<_>>());
    }
    site.publish("order.given", json!({ "role": "guard", "n": 0 })).await;
    for client in [&mut stalled, &mut browser, &mut brisk] {
        assert_eq!(client.message().await["n"], 0);
    }
    gateway.stop().await;
}

/// Retention passes a client that does not read: it is told so.
#[tokio::test]
async fn a_reader_that_stalls_beyond_retention_is_told_so() {
    let site = Site::setup().variable("TIDINGS_GATEWAY__HOT_TAIL_BYTES", "1").start().await;
    let gateway = site.gateway().await;
    let mut ada = dial("ada").sequenced().receive_buffer(16 * 1024).open(&gateway).await;
    ada.until(|message| message["action"] == "caught_up").await;
    let padding = "x".repeat(PADDING);
    for n in 1..=200 {
        site.publish("note.sent", json!({ "user": "ada", "n": n, "padding": padding })).await;
    }
    site.read_by(&gateway).await;
    let removed = site.projected().await - 100;
    site.remove_through(removed).await;
    let heard = eventually("the last note comes", BOUND, async || {
        Ok::<_, String>(ada.until(|message| message["n"] == 200).await)
    })
    .await;
    let gaps: Vec<_> = heard.iter().filter(|message| message["action"] == "gap").collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["reason"], "retention");
    assert_eq!(crate::dial::sequence_of(&gaps[0]["to"]), removed);
    let at = heard.iter().position(|message| message["action"] == "gap").unwrap();
    let (before, after) = (numbers(&heard[..at]), numbers(&heard[at + 1..]));
    assert!(before.iter().copied().eq(1..=before.len() as u64), "{before:?}");
    let last_before = heard[at - 1]["seq"].as_u64().unwrap();
    assert_eq!(crate::dial::sequence_of(&gaps[0]["from"]), last_before);
    assert!(heard[at + 1]["seq"].as_u64().unwrap() == removed + 1, "{after:?}");
    gateway.stop().await;
}
