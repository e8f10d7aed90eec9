//! Looking at consumers, moving and removing them, and users who are no more.

use serde_json::{Value, json};

use crate::dial::dial;
use crate::site::Site;

fn consumer<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["consumers", command, "--tenant", "lab", "--user", "ada", "--device", "d"], more].concat()
}

#[tokio::test]
async fn consumers_are_listed_shown_reset_and_removed() {
    let (site, gateway) = Site::with_gateway().await;
    assert_eq!(site.run(&["consumers", "ls", "--tenant", "lab"]).await, "there are no consumers\n");
    for user in ["ada", "bo"] {
        dial(user).returns(&gateway).await.leave().await;
        site.left(user, "d").await;
    }
    for n in 1..=4 {
        site.note("ada", n).await;
    }
    site.read_by(&gateway).await;
    let mut ada = dial("ada").returns(&gateway).await;
    ada.wire.say(&json!({ "action": "subscribe", "topics": ["news"], "filters": { "colour": "red" } })).await;
    ada.wire.until(|message| message["action"] == "subscribed").await;
    ada.wire.ack(ada.missed[1]["seq"].as_u64().unwrap()).await;
    ada.wire.silence().await;
    site.acknowledged("ada", "d", ada.missed[1]["seq"].as_u64().unwrap()).await;
    let shown: Value = serde_json::from_str(&site.run(&consumer("show", &[])).await).unwrap();
    assert_eq!(
        (&shown["user"], &shown["device"], &shown["pending"]),
        (&json!("ada"), &json!("d"), &json!(2))
    );
    assert_eq!(shown["subscriptions"]["news"]["filter"], json!({ "colour": ["red"] }));
    assert!(shown["connected"].is_string(), "{shown}");
    assert_eq!(shown["grants"], json!(["all", "user:ada"]));
    let listed = site.run(&["consumers", "ls", "--tenant", "lab", "--user", "bo", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed["user"], &listed["connected"]), (&json!("bo"), &Value::Null));

    // A reset outlives the acknowledgements of whoever is connected meanwhile.
    site.run(&consumer("reset", &["--to", "all"])).await;
    ada.wire.ack(ada.last()).await;
    ada.wire.silence().await;
    ada.wire.close().await;
    site.left("ada", "d").await;
    let back = dial("ada").returns(&gateway).await;
    assert_eq!(back.numbers(), [1, 2, 3, 4]);
    back.leave().await;
    site.left("ada", "d").await;
    assert_eq!(dial("ada").returns(&gateway).await.numbers(), [0; 0]);
    site.left("ada", "d").await;

    site.note("ada", 5).await;
    site.read_by(&gateway).await;
    site.run(&consumer("reset", &["--to", "new"])).await;
    assert_eq!(dial("ada").returns(&gateway).await.numbers(), [0; 0]);
    site.left("ada", "d").await;

    site.note("ada", 6).await;
    site.read_by(&gateway).await;
    site.run(&consumer("rm", &[])).await;
    assert_eq!(site.consumer("ada", "d").await, None);
    let missing = site.run_failing(&consumer("show", &[])).await;
    assert!(
        missing.contains("user \"ada\" of tenant lab has no consumers; `tidings consumers ls"),
        "{missing}"
    );
    // Whoever was removed is as one who was never here.
    assert_eq!(dial("ada").returns(&gateway).await.numbers(), [0; 0]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_purged_user_leaves_nothing_behind() {
    let (site, gateway) = Site::with_gateway().await;
    let other = site.gateway().await;
    for user in ["ada", "bo"] {
        for device in ["d", "e"] {
            dial(user).device(device).returns(&gateway).await.leave().await;
            site.left(user, device).await;
        }
        for n in 1..=3 {
            site.note(user, n).await;
        }
    }
    for gateway in [&gateway, &other] {
        site.read_by(gateway).await;
    }
    // One device is connected, and says more afterwards.
    let mut here = dial("ada").device("d").returns(&gateway).await;
    assert_eq!(here.numbers(), [1, 2, 3]);
    let printed = site.run(&["users", "purge", "--tenant", "lab", "--user", "ada"]).await;
    assert_eq!(printed, "removed 3 envelopes and 2 consumers of user \"ada\" of tenant lab\n");
    for gateway in [&gateway, &other] {
        site.read_by(gateway).await;
    }
    here.wire.ack(here.last()).await;
    here.wire.silence().await;
    here.wire.close().await;
    // It saves what it has to save.
    gateway.stop().await;
    assert_eq!(site.count("ENVELOPES", "envelopes.lab.*.user.ada.>").await, 0);
    assert_eq!(site.count("KV_CONSUMERS", "$KV.CONSUMERS.lab.ada.>").await, 0);
    let epoch = here.welcome["position"].as_str().unwrap().split_once('-').unwrap().0.to_owned();
    let gateway = site.gateway().await;
    for gateway in [&gateway, &other] {
        let back = dial("ada").device("e").returns(gateway).await;
        assert_eq!((back.gap.clone(), back.missed.len()), (None, 0));
        let since = format!("{epoch}-0");
        let back = dial("ada").device("f").since(&since).returns(gateway).await;
        assert_eq!(back.missed.len(), 0, "nothing in memory either: {:?}", back.missed);
    }
    let bo = dial("bo").returns(&other).await;
    assert_eq!((bo.gap.clone(), bo.numbers()), (None, vec![1, 2, 3]));
    gateway.stop().await;
    other.stop().await;
}

/// The notice of a purge lies in the stream among the envelopes, and is none.
#[tokio::test]
async fn a_gateway_starts_at_and_before_the_notice_of_a_purge() {
    let (site, gateway) = Site::with_gateway().await;
    dial("ada").returns(&gateway).await.leave().await;
    site.left("ada", "d").await;
    gateway.stop().await;
    site.note("ada", 1).await;
    site.note("bo", 1).await;
    site.projected().await;
    let purge = ["users", "purge", "--tenant", "lab", "--user", "bo"];
    site.run(&purge).await;
    // It is the last message of the stream, so what was missed ends before it.
    let gateway = site.gateway().await;
    assert_eq!(dial("ada").returns(&gateway).await.numbers(), [1]);
    gateway.stop().await;
    for n in 2..=4 {
        site.note("ada", n).await;
    }
    site.projected().await;
    let gateway = site.gateway().await;
    assert_eq!(dial("ada").returns(&gateway).await.numbers(), [1, 2, 3, 4]);
    gateway.stop().await;
}
