//! Which envelopes wait for the absent, and where a device begins that was never here.

use harness::{BOUND, eventually};
use serde_json::json;

use crate::dial::dial;
use crate::site::Site;

#[tokio::test]
async fn only_what_matters_later_waits() {
    let (site, gateway) = Site::with_gateway().await;
    dial("ada").returns(&gateway).await.leave().await;
    site.left("ada", "d").await;
    site.publish("fleeting.seen", json!({ "user": "ada", "n": 1 })).await;
    for n in 2..=4 {
        site.publish("job.progressed", json!({ "user": "ada", "job": "one", "n": n })).await;
        site.publish("job.progressed", json!({ "user": "ada", "job": "two", "n": 10 + n })).await;
    }
    site.publish("gauge.read", json!({ "user": "ada", "n": 20 })).await;
    site.note("ada", 30).await;
    site.read_by(&gateway).await;
    let stream = site.stream("ENVELOPES").await;
    eventually("the alert is stale", BOUND, async || {
        match stream.info_with_subjects("envelopes.lab.durable.user.ada.fleeting.>").await {
            Ok(mut left) => match futures_util::StreamExt::next(&mut left).await {
                None => Ok(()),
                Some(_) => Err("it is there".to_owned()),
            },
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    // From the mailbox, and from the stream itself.
    let other = site.gateway_with(&[("TIDINGS_GATEWAY__MAILBOX_REACH", "1")]).await;
    for gateway in [gateway, other] {
        let ada = dial("ada").returns(&gateway).await;
        assert_eq!(ada.numbers(), [4, 14, 30]);
        ada.wire.close().await;
        // Whoever is present gets all of it.
        let mut ada = dial("ada").returns(&gateway).await.wire;
        for (n, event) in [(40, "gauge.read"), (41, "fleeting.seen")] {
            site.publish(event, json!({ "user": "ada", "n": n })).await;
            assert_eq!(ada.message().await["n"], n);
        }
        ada.close().await;
        eventually("the alert is stale", BOUND, async || {
            match site.count("ENVELOPES", "envelopes.lab.durable.user.ada.fleeting.>").await {
                0 => Ok(()),
                left => Err(left),
            }
        })
        .await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_message_to_several_addresses_of_a_user_comes_once() {
    let (site, gateway) = Site::with_gateway().await;
    let ada = dial("ada").roles(&["guard"]);
    let mut live = ada.device("live").sequenced().open(&gateway).await;
    live.until(|message| message["action"] == "caught_up").await;
    ada.returns(&gateway).await.leave().await;
    site.left("ada", "d").await;
    for n in 1..=3 {
        site.publish("notice.posted", json!({ "user": "ada", "role": "guard", "n": n })).await;
    }
    for n in 1..=3 {
        assert_eq!(live.message().await["n"], n);
    }
    site.read_by(&gateway).await;
    live.silence().await;
    let small = site.gateway_with(&[("TIDINGS_GATEWAY__MAILBOX_REACH", "1")]).await;
    let cold = site.gateway_with(&[("TIDINGS_GATEWAY__HOT_TAIL_BYTES", "1")]).await;
    for gateway in [&gateway, &small, &cold] {
        let back = ada.returns(gateway).await;
        assert_eq!(back.numbers(), [1, 2, 3]);
        back.wire.close().await;
        // A position between the parts of a message: the one before it proves that the others arrived.
        let epoch = back.welcome["position"].as_str().unwrap().split_once('-').unwrap().0.to_owned();
        for message in &back.missed {
            let (sequence, n) = (message["seq"].as_u64().unwrap(), message["n"].as_u64().unwrap());
            for part in 0..3 {
                let since = format!("{epoch}-{}", sequence + part);
                let rest: Vec<u64> = (n + 1..=3).collect();
                let probe = ada.device("probe").since(&since);
                assert_eq!(probe.returns(gateway).await.numbers(), rest, "after {since}");
            }
            // Whoever holds one key only has not received it by another's part.
            let since = format!("{epoch}-{sequence}");
            let stranger = dial("bo").device("x").since(&since).returns(gateway).await;
            assert_eq!(
                stranger.numbers(),
                (n..=3).collect::<Vec<_>>(),
                "{since} {:?} {:?}",
                stranger.welcome,
                back.missed
            );
        }
    }
    for gateway in [gateway, small, cold] {
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_device_that_was_never_here_begins_as_the_catalog_says() {
    for (policy, expected) in [("new", vec![]), ("all", vec![1, 2, 3]), ("1h", vec![1, 2, 3])] {
        let site = Site::setup().deliver(policy).start().await;
        let gateway = site.gateway().await;
        for n in 1..=3 {
            site.note("ada", n).await;
        }
        site.projected().await;
        gateway.stop().await;
        let gateway = site.gateway().await;
        let first = dial("ada").returns(&gateway).await;
        assert_eq!((first.gap.clone(), first.numbers()), (None, expected.clone()), "{policy}");
        // A crash in its first second loses nothing on it.
        gateway.kill().await;
        let gateway = site.gateway().await;
        site.note("ada", 4).await;
        let mut second = dial("ada").sequenced().open(&gateway).await;
        let heard = second.until(|message| message["n"] == 4).await;
        let notes = heard.iter().filter_map(|message| message["n"].as_u64());
        assert_eq!(notes.collect::<Vec<_>>(), [&expected[..], &[4]].concat(), "{policy}");
        gateway.stop().await;
    }
}
