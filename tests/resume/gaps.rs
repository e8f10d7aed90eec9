//! Never silence: what cannot be delivered is told as a gap, and what can be is not.

use harness::{BOUND, eventually};
use serde_json::{Value, json};

use crate::dial::{Gateway, Return, dial, sequence_of};
use crate::site::Site;
use crate::wire::Heard;

fn check_gap(gap: Option<&Value>, reason: &str, from: &Value, to: &Value) {
    let gap = gap.expect("a gap is told");
    assert_eq!((&gap["reason"], &gap["from"], &gap["to"]), (&json!(reason), from, to), "{gap}");
}

fn text(position: &Value) -> &str {
    position.as_str().unwrap()
}

/// Leaves a consumer behind that has seen everything up to now; where it stands.
async fn was_here(site: &Site, gateway: &Gateway, user: &str) -> Value {
    let here = dial(user).returns(gateway).await;
    here.leave().await;
    site.left(user, "d").await;
    site.consumer(user, "d").await.unwrap()["position"].clone()
}

/// Returns until the gateway tells a gap; where nothing is acknowledged, that changes nothing.
async fn returns_to_a_gap(gateway: &Gateway, user: &str) -> Return {
    eventually("the gateway sees what was removed", BOUND, async || {
        let returned = dial(user).device("d").returns(gateway).await;
        if returned.gap.is_some() { Ok(returned) } else { Err("no gap") }
    })
    .await
}

#[tokio::test]
async fn a_stream_made_anew_while_connected() {
    let (site, gateway) = Site::with_gateway().await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    let mut browser = dial("bo").open(&gateway).await;
    ada.say(&json!({ "action": "subscribe", "topics": ["news"] })).await;
    assert_eq!(ada.message().await["action"], "subscribed");
    for n in 1..=5 {
        site.note("ada", n).await;
        site.note("bo", n).await;
    }
    let seen = ada.until(|message| message["n"] == 5).await;
    let last = seen.last().unwrap()["seq"].as_u64().unwrap();
    ada.ack(last).await;
    browser.until(|message| message["n"] == 5).await;
    site.renew_envelopes().await;
    for n in 6..=8 {
        site.note("ada", n).await;
        site.publish("news.broken", json!({ "n": 10 + n })).await;
        site.note("bo", n).await;
    }
    let gap = ada.message().await;
    assert_eq!((&gap["action"], &gap["reason"]), (&json!("gap"), &json!("epoch")), "{gap}");
    assert_eq!(sequence_of(&gap["from"]), last);
    assert_eq!(sequence_of(&gap["to"]), 0);
    // What it acknowledges now may be of the stream that was: sequences begin anew on another connection.
    ada.ack(last).await;
    assert_eq!(ada.next(BOUND).await, Heard::Close(1001));
    site.read_by(&gateway).await;
    let mut ada = dial("ada").returns(&gateway).await;
    assert_eq!(ada.gap.as_ref().map(|gap| &gap["reason"]), Some(&json!("epoch")));
    assert_eq!(ada.numbers(), [6, 16, 7, 17, 8, 18]);
    ada.wire.ack(ada.missed[3]["seq"].as_u64().unwrap()).await;
    ada.wire.close().await;
    site.left("ada", "d").await;
    let again = dial("ada").returns(&gateway).await;
    assert_eq!((again.gap.clone(), again.numbers()), (None, vec![8, 18]));
    // A plain client is told nothing, and misses nothing that there is.
    assert_eq!(browser.until(|message| message["n"] == 8).await.len(), 3);
    gateway.stop().await;
}

#[tokio::test]
async fn a_stream_made_anew_while_away() {
    let (site, gateway) = Site::with_gateway().await;
    for n in 1..=20 {
        site.note("filler", n).await;
    }
    site.read_by(&gateway).await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    ada.say(&json!({ "action": "subscribe", "topics": ["news"] })).await;
    assert_eq!(ada.message().await["action"], "subscribed");
    ada.close().await;
    let stood = site.left("ada", "d").await;
    assert!(stood >= 20, "{stood}");
    let position = site.consumer("ada", "d").await.unwrap()["position"].clone();
    site.renew_envelopes().await;
    // Sequences that the subscription would have been made after, were they of the same stream.
    site.publish("news.broken", json!({ "n": 1 })).await;
    site.note("ada", 2).await;
    site.read_by(&gateway).await;
    // Told until it is acknowledged: a connection that breaks may take the word with it.
    for gateway in [gateway, site.gateway().await] {
        let ada = dial("ada").returns(&gateway).await;
        let epoch = text(&ada.welcome["position"]).split_once('-').unwrap().0;
        check_gap(ada.gap.as_ref(), "epoch", &position, &json!(format!("{epoch}-0")));
        assert_eq!(ada.numbers(), [1, 2]);
        gateway.stop().await;
    }
    let gateway = site.gateway().await;
    let mut ada = dial("ada").returns(&gateway).await;
    ada.wire.ack(ada.last()).await;
    ada.wire.silence().await;
    ada.wire.close().await;
    site.left("ada", "d").await;
    let again = dial("ada").returns(&gateway).await;
    assert_eq!((again.gap.clone(), again.numbers()), (None, vec![]));
    gateway.stop().await;
}

#[tokio::test]
async fn a_position_from_the_future() {
    let (site, gateway) = Site::with_gateway().await;
    site.note("ada", 1).await;
    site.read_by(&gateway).await;
    let position = was_here(&site, &gateway, "ada").await;
    let (epoch, _) = text(&position).split_once('-').unwrap();
    let future = format!("{epoch}-1000");
    let mut ada = dial("ada").since(&future).returns(&gateway).await;
    let last = site.projected().await;
    check_gap(ada.gap.as_ref(), "future", &json!(future), &json!(format!("{epoch}-{last}")));
    site.note("ada", 2).await;
    assert_eq!(ada.wire.message().await["n"], 2);
    gateway.stop().await;
}

/// A gateway that is behind another one takes no position for one from the future: the stream decides.
#[tokio::test]
async fn a_position_ahead_of_the_gateway_is_not_one_from_the_future() {
    let (site, gateway) = Site::with_gateway().await;
    let position = was_here(&site, &gateway, "ada").await;
    let (epoch, _) = text(&position).split_once('-').unwrap();
    gateway.process.signal(rustix::process::Signal::STOP);
    for n in 1..=600 {
        site.note("ada", n).await;
    }
    let ahead = site.projected().await - 5;
    gateway.process.signal(rustix::process::Signal::CONT);
    // It may have read some of it by now, or all.
    let since = format!("{epoch}-{ahead}");
    let mut ada = dial("ada").since(&since).sequenced().open(&gateway).await;
    let heard = ada.until(|message| message["n"] == 600).await;
    let notes: Vec<_> = heard.iter().filter(|message| !message["n"].is_null()).cloned().collect();
    assert!(heard.iter().all(|message| message["action"] != "gap"), "{heard:?}");
    assert_eq!(crate::dial::numbers(&notes), [596, 597, 598, 599, 600]);
    gateway.stop().await;
}

#[tokio::test]
async fn retention_passes_a_position() {
    let (site, gateway) = Site::with_gateway().await;
    // One that many addresses separate from the next: what was removed is seen all the same.
    let position = was_here(&site, &gateway, "ada").await;
    site.note("ada", 1).await;
    for n in 0..200 {
        site.note(&format!("user-{n}"), n).await;
    }
    site.note("ada", 2).await;
    site.read_by(&gateway).await;
    let bo = was_here(&site, &gateway, "bo").await;
    site.note("ada", 3).await;
    let first = sequence_of(&position) + 1;
    site.remove_through(first).await;
    let ada = returns_to_a_gap(&gateway, "ada").await;
    let to = format!("{}-{first}", text(&position).split_once('-').unwrap().0);
    check_gap(ada.gap.as_ref(), "retention", &position, &json!(to));
    assert_eq!(ada.numbers(), [2, 3]);
    // Nobody else has missed anything, nor has whoever acknowledges what there is.
    ada.leave().await;
    site.left("ada", "d").await;
    let after = dial("ada").returns(&gateway).await;
    assert_eq!((after.gap, after.missed.len()), (None, 0));
    let bo = (bo, dial("bo").returns(&gateway).await);
    assert_eq!(bo.1.gap, None, "bo stood at {}", bo.0);
    gateway.stop().await;
}

/// What newer envelopes replace and what expires raises the stream's floor, too, and is missed by nobody.
#[tokio::test]
async fn what_was_replaced_is_no_gap() {
    let (site, gateway) = Site::with_gateway().await;
    was_here(&site, &gateway, "bo").await;
    site.note("bo", 1).await;
    site.read_by(&gateway).await;
    let position = was_here(&site, &gateway, "ada").await;
    site.publish("fleeting.seen", json!({ "user": "ada", "n": 0 })).await;
    for n in 1..=30 {
        site.publish("job.progressed", json!({ "user": "ada", "job": "j", "n": n })).await;
    }
    let last = site.projected().await;
    // The floor rises far beyond where ada stands, in one step.
    site.remove_through(sequence_of(&position)).await;
    let stream = site.stream("ENVELOPES").await;
    eventually("the rest is gone", BOUND, async || {
        let first = stream.get_info().await.unwrap().state.first_sequence;
        if first == last { Ok(()) } else { Err(first) }
    })
    .await;
    // Who has missed something proves that the gateway has seen the floor.
    eventually("the gateway sees the floor", BOUND, async || {
        let gap = dial("bo").returns(&gateway).await.gap.ok_or("no gap")?;
        if sequence_of(&gap["to"]) == last - 1 { Ok(()) } else { Err("not yet") }
    })
    .await;
    let ada = dial("ada").returns(&gateway).await;
    assert_eq!((ada.gap.clone(), ada.numbers()), (None, vec![30]));
    gateway.stop().await;
}

/// The stream's last envelope is gone, and whoever had it does not stand in the future for that.
#[tokio::test]
async fn a_position_at_what_has_expired_is_no_gap() {
    let (site, gateway) = Site::with_gateway().await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    site.note("bo", 1).await;
    site.publish("fleeting.seen", json!({ "user": "ada", "n": 2 })).await;
    let sequence = ada.message().await["seq"].as_u64().unwrap();
    ada.ack(sequence).await;
    ada.close().await;
    assert_eq!(site.left("ada", "d").await, sequence);
    let stream = site.stream("ENVELOPES").await;
    eventually("it expires", BOUND, async || match stream.get_info().await.unwrap().state.messages {
        1 => Ok(()),
        more => Err(more),
    })
    .await;
    gateway.stop().await;
    let gateway = site.gateway().await;
    let mut ada = dial("ada").returns(&gateway).await;
    assert_eq!((ada.gap, ada.missed.len()), (None, 0));
    site.note("ada", 3).await;
    assert_eq!(ada.wire.message().await["n"], 3);
    gateway.stop().await;
}
