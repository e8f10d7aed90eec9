//! Leaving and returning: everything once, in order, from where the device stood.

use harness::BOUND;
use serde_json::{Value, json};

use crate::dial::{dial, numbers, sequence_of};
use crate::site::Site;
use crate::wire::Heard;

#[tokio::test]
async fn what_was_missed_comes_then_caught_up_then_what_happens() {
    let (site, gateway) = Site::with_gateway().await;
    let first = dial("ada").returns(&gateway).await;
    assert_eq!(
        (first.gap.clone(), first.numbers()),
        (None, Vec::<u64>::new()),
        "a newcomer of `new` missed nothing"
    );
    first.leave().await;
    site.left("ada", "d").await;

    for n in 1..=5 {
        site.note("ada", n).await;
        site.note("bo", 100 + n).await;
    }
    site.read_by(&gateway).await;
    let mut ada = dial("ada").returns(&gateway).await;
    assert_eq!(ada.numbers(), [1, 2, 3, 4, 5]);
    let sequences: Vec<_> = ada.missed.iter().map(|message| message["seq"].as_u64().unwrap()).collect();
    assert!(sequences.is_sorted_by(|one, next| one < next), "{sequences:?}");
    assert!(sequence_of(&ada.welcome["position"]) < sequences[0]);
    assert!(sequence_of(&ada.caught_up["position"]) >= ada.last());
    site.note("ada", 6).await;
    assert_eq!(ada.wire.message().await["n"], 6);

    // Nothing was acknowledged, so all of it comes again.
    ada.wire.close().await;
    site.left("ada", "d").await;
    let again = dial("ada").returns(&gateway).await;
    assert_eq!(again.numbers(), [1, 2, 3, 4, 5, 6]);
    again.leave().await;
    site.left("ada", "d").await;
    assert_eq!(dial("ada").returns(&gateway).await.numbers(), [0; 0]);
    gateway.stop().await;
}

/// The seam between what was missed and what happens, under way: many returns while the publisher never pauses.
#[tokio::test]
async fn the_seam_neither_loses_nor_repeats_nor_reorders() {
    const NOTES: u64 = 3_000;
    let (site, gateway) = Site::with_gateway().await;
    dial("ada").returns(&gateway).await.leave().await;
    site.left("ada", "d").await;
    let publishing = async {
        for n in 1..=NOTES {
            site.note("ada", n).await;
        }
    };
    let returning = async {
        let mut next = 1;
        let mut returns = 0_u64;
        while next <= NOTES {
            returns += 1;
            let mut wire = dial("ada").sequenced().open(&gateway).await;
            let (mut caught_up, mut live, mut last) = (false, 0, 0);
            // Some of it missed, some of it live, and away again.
            while next <= NOTES && !(caught_up && live >= 5 + returns % 7) {
                let message = wire.message().await;
                if message["action"] == "caught_up" {
                    caught_up = true;
                } else if let Some(n) = message["n"].as_u64() {
                    assert_eq!(n, next, "after {returns} returns, caught up: {caught_up}");
                    next += 1;
                    live += u64::from(caught_up);
                    last = message["seq"].as_u64().unwrap();
                } else {
                    assert_eq!(message["action"], "welcome", "{message}");
                }
            }
            wire.ack(last).await;
            // At once: the position of the last connection is not waited for.
            wire.close().await;
        }
        assert!(returns > 20, "only {returns} returns");
    };
    tokio::join!(publishing, returning);
    gateway.stop().await;
}

#[tokio::test]
async fn a_plain_client_acknowledges_by_answering_pings_alone() {
    let (site, gateway) = Site::with_gateway().await;
    let mut browser = dial("ada").open(&gateway).await;
    browser.polite = false;
    browser.silence().await;
    for n in 1..=3 {
        site.note("ada", n).await;
    }
    let heard = browser.until(|message| message["n"] == 3).await;
    assert_eq!(heard, [json!({ "n": 1 }), json!({ "n": 2 }), json!({ "n": 3 })], "bodies as they are");
    // It was asked, and did not answer: all of it comes again.
    browser.close().await;
    site.left("ada", "d").await;
    let mut browser = dial("ada").open(&gateway).await;
    browser.polite = false;
    assert_eq!(browser.until(|message| message["n"] == 3).await, heard);
    if browser.questions.is_empty() {
        browser.question().await;
    }
    while !browser.questions.is_empty() {
        browser.answer().await;
    }
    // Before the gateway hears the goodbye, it has heard the answers.
    browser.close().await;
    site.left("ada", "d").await;
    let mut browser = dial("ada").open(&gateway).await;
    browser.silence().await;
    // A browser that says nothing at all, with the gateway's Pings answered by themselves.
    site.note("ada", 4).await;
    assert_eq!(browser.message().await["n"], 4);
    let (sequence, mut reading) = (site.projected().await, browser);
    let reading = async { reading.next(BOUND).await };
    tokio::select! {
        heard = reading => panic!("{heard:?}"),
        () = site.acknowledged("ada", "d", sequence) => {}
    }
    gateway.kill().await;
    let gateway = site.gateway().await;
    dial("ada").open(&gateway).await.silence().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_user_returns_to_any_gateway() {
    let site = Site::setup().start().await;
    let gateways = [site.gateway().await, site.gateway().await];
    dial("ada").returns(&gateways[0]).await.leave().await;
    let mut expected = 1;
    for round in 0..6 {
        site.left("ada", "d").await;
        for n in expected..expected + 3 {
            site.note("ada", n).await;
        }
        let mut ada = dial("ada").sequenced().open(&gateways[(round + 1) % 2]).await;
        let heard = ada.until(|message| message["n"] == expected + 2).await;
        let notes: Vec<Value> = heard.into_iter().filter(|message| !message["n"].is_null()).collect();
        assert_eq!(numbers(&notes), [expected, expected + 1, expected + 2]);
        ada.ack(notes[2]["seq"].as_u64().unwrap()).await;
        ada.close().await;
        expected += 3;
    }
    for gateway in gateways {
        gateway.stop().await;
    }
}

#[tokio::test]
async fn each_device_has_its_place_and_its_connections_share_it() {
    let (site, gateway) = Site::with_gateway().await;
    for device in ["phone", "laptop"] {
        dial("ada").device(device).returns(&gateway).await.leave().await;
        site.left("ada", device).await;
    }
    for n in 1..=4 {
        site.note("ada", n).await;
    }
    let last = site.projected().await;
    // Two connections of the phone; what one has received, the phone has.
    let mut one = dial("ada").device("phone").sequenced().open(&gateway).await;
    let mut other = dial("ada").device("phone").sequenced().open(&gateway).await;
    let heard = one.until(|message| message["n"] == 4).await;
    other.until(|message| message["n"] == 4).await;
    let second = heard.iter().find(|message| message["n"] == 2).unwrap()["seq"].as_u64().unwrap();
    one.ack(second).await;
    one.close().await;
    site.acknowledged("ada", "phone", second).await;
    assert!(site.consumer("ada", "phone").await.unwrap()["connected"].is_string(), "the other is still here");
    other.ack(last).await;
    // What was acknowledged stays so, whoever says less later.
    other.ack(1).await;
    other.close().await;
    assert!(site.left("ada", "phone").await >= last);
    assert_eq!(dial("ada").device("phone").returns(&gateway).await.numbers(), [0; 0]);
    assert_eq!(dial("ada").device("laptop").returns(&gateway).await.numbers(), [1, 2, 3, 4]);
    gateway.stop().await;
}

#[tokio::test]
async fn the_position_that_a_client_kept_takes_precedence() {
    let (site, gateway) = Site::with_gateway().await;
    let start = dial("ada").returns(&gateway).await;
    let position = start.welcome["position"].as_str().unwrap().to_owned();
    start.leave().await;
    site.left("ada", "d").await;
    for n in 1..=4 {
        site.note("ada", n).await;
    }
    site.projected().await;
    let mut all = dial("ada").sequenced().open(&gateway).await;
    let heard = all.until(|message| message["n"] == 4).await;
    let sequence = |n: u64| heard.iter().find(|message| message["n"] == n).unwrap()["seq"].as_u64().unwrap();
    all.ack(sequence(4)).await;
    all.close().await;
    site.left("ada", "d").await;

    // Back behind what it has acknowledged, and what it stores is not moved back by that.
    let (epoch, _) = position.split_once('-').unwrap();
    let second = format!("{epoch}-{}", sequence(2));
    assert_eq!(dial("ada").since(&second).returns(&gateway).await.numbers(), [3, 4]);
    assert_eq!(dial("ada").since(&position).returns(&gateway).await.numbers(), [1, 2, 3, 4]);
    assert_eq!(dial("ada").returns(&gateway).await.numbers(), [0; 0]);
    // Ahead of what it has stored, too.
    let fresh = dial("ada").device("new").since(&second).returns(&gateway).await;
    assert_eq!((fresh.welcome["position"].as_str().unwrap(), fresh.numbers()), (&*second, vec![3, 4]));
    gateway.stop().await;
}

#[tokio::test]
async fn acknowledgements_go_forward_and_not_beyond_what_was_sent() {
    let (site, gateway) = Site::with_gateway().await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    for n in 1..=3 {
        site.note("ada", n).await;
    }
    let heard = ada.until(|message| message["n"] == 3).await;
    let sequences: Vec<u64> = heard.iter().map(|message| message["seq"].as_u64().unwrap()).collect();
    ada.say(&json!({ "action": "ack", "seq": sequences[2] + 1, "id": "early" })).await;
    let error = ada.message().await;
    assert_eq!(error["type"], "error", "{error}");
    assert_eq!(error["data"]["code"], "INVALID_MESSAGE");
    assert_eq!(error["data"]["original_message_id"], "early");
    ada.ack(sequences[1]).await;
    ada.ack(sequences[0]).await;
    ada.silence().await;
    ada.close().await;
    assert_eq!(site.left("ada", "d").await, sequences[1]);
    assert_eq!(dial("ada").returns(&gateway).await.numbers(), [3]);
    gateway.stop().await;
}

#[tokio::test]
async fn topics_and_filters_survive_and_come_in_one_order_with_the_rest() {
    let (site, gateway) = Site::with_gateway().await;
    let news = async |n: u64, colour: &str| {
        site.publish("news.broken", json!({ "n": n, "colour": colour })).await;
    };
    news(1, "red").await;
    site.read_by(&gateway).await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    ada.say(&json!({ "action": "subscribe", "topics": ["news"], "filters": { "colour": "red" } })).await;
    assert_eq!(ada.message().await["action"], "subscribed");
    // A topic begins when it is asked for.
    ada.silence().await;
    ada.close().await;
    site.left("ada", "d").await;

    news(2, "red").await;
    site.note("ada", 3).await;
    news(4, "blue").await;
    news(5, "red").await;
    site.note("ada", 6).await;
    site.publish("gauge.read", json!({ "user": "ada", "n": 7 })).await;
    site.projected().await;
    let gateway = {
        // The position and all are another process's as well.
        gateway.stop().await;
        site.gateway().await
    };
    let mut ada = dial("ada").returns(&gateway).await;
    assert_eq!(ada.numbers(), [2, 3, 5, 6]);
    // It was not asked for again, and is heard all the same.
    news(8, "blue").await;
    news(9, "red").await;
    assert_eq!(ada.wire.message().await["n"], 9);
    ada.wire.say(&json!({ "action": "unsubscribe", "topics": ["news"] })).await;
    assert_eq!(ada.wire.message().await["topics"], json!([]));
    ada.leave().await;
    site.left("ada", "d").await;
    news(10, "red").await;
    site.note("ada", 11).await;
    site.read_by(&gateway).await;
    assert_eq!(dial("ada").returns(&gateway).await.numbers(), [11]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_role_that_was_lost_opens_nothing_of_what_was_missed() {
    let (site, gateway) = Site::with_gateway().await;
    let insider = dial("ada").roles(&["insider", "guard"]);
    let mut ada = insider.returns(&gateway).await.wire;
    ada.say(&json!({ "action": "subscribe", "topics": ["secrets", "news"] })).await;
    assert_eq!(ada.message().await["topics"], json!(["news", "secrets"]));
    ada.close().await;
    site.left("ada", "d").await;
    for n in [1, 2] {
        site.publish("secret.told", json!({ "n": n })).await;
        site.publish("order.given", json!({ "role": "guard", "n": 10 + n })).await;
        site.publish("news.broken", json!({ "n": 20 + n })).await;
    }
    site.read_by(&gateway).await;
    let outsider = dial("ada").returns(&gateway).await;
    assert_eq!(outsider.numbers(), [21, 22]);
    // Nothing of it was acknowledged; with the roles, all of it is open.
    outsider.wire.close().await;
    site.left("ada", "d").await;
    assert_eq!(insider.returns(&gateway).await.numbers(), [1, 11, 21, 2, 12, 22]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_that_stops_saves_what_was_acknowledged() {
    let (site, gateway) = Site::with_gateway().await;
    let mut users = Vec::new();
    for user in ["ada", "bo", "cy"] {
        users.push((user, dial(user).returns(&gateway).await.wire));
        site.note(user, 1).await;
        site.note(user, 2).await;
    }
    for (_, wire) in &mut users {
        let heard = wire.until(|message| message["n"] == 2).await;
        wire.ack(heard[0]["seq"].as_u64().unwrap()).await;
        // Whatever was said before was heard.
        wire.silence().await;
    }
    let goodbyes = async {
        for (_, wire) in &mut users {
            assert_eq!(wire.message().await["action"], "draining");
            assert_eq!(wire.next(BOUND).await, Heard::Close(1001));
        }
    };
    // Nobody answers the Close: the gateway does not wait for ever.
    tokio::join!(gateway.stop(), goodbyes);
    let gateway = site.gateway().await;
    for (user, _) in &users {
        assert!(site.consumer(user, "d").await.unwrap()["connected"].is_null(), "{user} has left");
        assert_eq!(dial(user).returns(&gateway).await.numbers(), [2], "{user}");
    }
    gateway.stop().await;
}
