//! The same promises where each consumer is a real JetStream durable consumer.

use harness::{BOUND, eventually};
use serde_json::{Value, json};

use crate::dial::{Gateway, dial};
use crate::site::Site;

async fn start() -> (Site, Gateway) {
    let site = Site::setup().variable("TIDINGS_CONSUMERS__STORE", "jetstream").start().await;
    let gateway = site.gateway().await;
    (site, gateway)
}

/// Waits until the consumer is saved so, as the command shows it.
async fn shown(site: &Site, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually("the consumer is saved", BOUND, async || {
        let show = ["consumers", "show", "--tenant", "lab", "--user", "ada", "--device", "d"];
        let shown: Value = serde_json::from_str(&site.run(&show).await).unwrap();
        if is_so(&shown) { Ok(shown) } else { Err(shown.to_string()) }
    })
    .await
}

async fn left(site: &Site) -> Value {
    shown(site, |shown| shown["connected"].is_null()).await
}

#[tokio::test]
async fn leaving_and_returning() {
    let (site, gateway) = start().await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    ada.say(&json!({ "action": "subscribe", "topics": ["news"], "filters": { "colour": "red" } })).await;
    assert_eq!(ada.message().await["action"], "subscribed");
    ada.close().await;
    left(&site).await;
    for n in [1, 3, 5] {
        site.note("ada", n).await;
        site.publish("news.broken", json!({ "n": n + 1, "colour": "red" })).await;
        site.publish("news.broken", json!({ "n": 99, "colour": "blue" })).await;
    }
    site.projected().await;
    let other = site.gateway().await;
    let mut back = dial("ada").returns(&other).await;
    assert_eq!((back.gap.clone(), back.numbers()), (None, vec![1, 2, 3, 4, 5, 6]));
    back.wire.ack(back.missed[2]["seq"].as_u64().unwrap()).await;
    back.wire.silence().await;
    // A stop saves it, and a kill what was saved.
    other.stop().await;
    left(&site).await;
    let back = dial("ada").returns(&gateway).await;
    assert_eq!(back.numbers(), [4, 5, 6]);
    gateway.kill().await;
    let gateway = site.gateway().await;
    assert_eq!(dial("ada").returns(&gateway).await.numbers(), [4, 5, 6]);

    let purge = ["users", "purge", "--tenant", "lab", "--user", "ada"];
    assert!(site.run(&purge).await.ends_with("1 consumer of user \"ada\" of tenant lab\n"));
    site.read_by(&gateway).await;
    gateway.stop().await;
    let missing =
        site.run_failing(&["consumers", "show", "--tenant", "lab", "--user", "ada", "--device", "d"]).await;
    assert!(missing.contains("has no consumers"), "{missing}");
}

#[tokio::test]
async fn a_stream_made_anew_takes_its_consumers_with_it() {
    let (site, gateway) = start().await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    site.note("ada", 1).await;
    assert_eq!(ada.message().await["n"], 1);
    site.renew_envelopes().await;
    site.note("ada", 2).await;
    assert_eq!(ada.message().await["reason"], "epoch");
    ada.close().await;
    site.read_by(&gateway).await;
    let mut ada = dial("ada").returns(&gateway).await;
    assert_eq!((ada.gap.is_some(), ada.numbers()), (true, vec![2]));
    let last = ada.last();
    ada.wire.ack(last).await;
    ada.wire.close().await;
    left(&site).await;
    site.note("ada", 3).await;
    site.read_by(&gateway).await;
    let back = dial("ada").returns(&gateway).await;
    assert_eq!((back.gap.clone(), back.numbers()), (None, vec![3]));
    gateway.stop().await;
}
