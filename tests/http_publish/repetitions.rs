//! What is sent again counts once, and the answer says so.

use harness::{BOUND, System, eventually};
use serde_json::json;

use crate::{Post, cloud_event, events, incident, incidents_until_end, listener, producer};

#[tokio::test]
async fn what_is_sent_again_counts_once_and_says_so() {
    let mut system = System::start().await;
    let mut ada = listener(&system).await;
    let second = system.another_gateway(&[]).await;
    let bearer = producer(&json!({}));
    let at = |address| Post::to(address, &bearer);
    let plain = |address, id: &str| {
        at(address).event("incident.created").json(&incident(id)).header("Idempotency-Key", "k-1")
    };
    let first = plain(system.address(), "1").send().await.good();
    assert_eq!((&first["id"], &first["duplicate"]), (&json!("k-1"), &json!(false)));
    // The same again, at another gateway, and written differently.
    for address in [system.address(), &second.address] {
        let again = plain(address, "1").send().await.good();
        assert_eq!((&again["sequence"], &again["duplicate"]), (&first["sequence"], &json!(true)), "{again}");
    }
    let reordered = format!("{{ \"squad\": \"s\", {}", &incident("1").to_string()[1..]);
    let again = at(system.address()).event("incident.created").body("application/json", reordered);
    let again = again.header("Idempotency-Key", "\"k-1\"").send().await.good();
    assert_eq!((&again["sequence"], &again["duplicate"]), (&first["sequence"], &json!(true)));

    // A CloudEvent counts by its source and id.
    let event = |source: &str, id: &str, incident: &str| {
        let mut event = cloud_event(id, incident);
        event["source"] = source.into();
        at(system.address()).cloud_event(&event)
    };
    assert_eq!(event("/a", "k-1", "2").send().await.good()["duplicate"], false);
    assert_eq!(event("/a", "k-1", "2").send().await.good()["duplicate"], true);
    assert_eq!(event("/b", "k-1", "3").send().await.good()["duplicate"], false);

    // Other content with the same id is the producer's mistake.
    for post in [plain(&second.address, "9"), event("/a", "k-1", "9")] {
        let refused = post.send().await;
        assert_eq!(refused.code(), (422, "EVENT_REJECTED"));
        assert_eq!(refused.body["reason"], "id-reused");
    }
    assert_eq!(events(&system).await.len(), 3, "nothing else is stored");
    assert_eq!(incidents_until_end(&system, &mut ada).await, ["1", "2", "3"]);
    system.check_well();
}

/// Requests with one id at the same time become one message.
#[tokio::test]
async fn the_same_at_once_is_one_event() {
    let system = System::start().await;
    let mut ada = listener(&system).await;
    let second = system.another_gateway(&[]).await;
    let bearer = producer(&json!({}));
    let addresses = [system.address(), &second.address];
    let posts = (0..20).map(|number| {
        let post = Post::to(addresses[number % 2], &bearer).cloud_event(&cloud_event("same", "1"));
        async move { post.send().await.good() }
    });
    let answers = futures_util::future::join_all(posts).await;
    assert!(answers.iter().any(|answer| answer["duplicate"] == false), "{answers:?}");
    assert_eq!(incidents_until_end(&system, &mut ada).await, ["1"]);
    let again =
        Post::to(system.address(), &bearer).cloud_event(&cloud_event("same", "1")).send().await.good();
    assert_eq!(again["duplicate"], true);
}

/// A receipt is believed only as long as `EVENTS` has the event.
#[tokio::test]
async fn an_event_that_nats_lost_is_stored_again() {
    let mut system = System::start().await;
    let saved = system.nats.save(&["EVENTS/msgs"]).await;
    let post = || Post::to(system.address(), &producer(&json!({}))).cloud_event(&cloud_event("e", "1"));
    let stored = eventually("the gateway is connected again", BOUND, async || {
        let answer = post().send().await;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.body) }
    });
    assert_eq!(stored.await["duplicate"], false);
    assert_eq!(post().send().await.good()["duplicate"], true);
    system.nats.bring_back(saved).await;
    let post = Post::to(system.address(), &producer(&json!({}))).cloud_event(&cloud_event("e", "1"));
    let again = eventually("the gateway is connected again", BOUND, async || {
        let answer = post.send().await;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.body) }
    });
    assert_eq!(again.await["duplicate"], false, "NATS has lost the first");
    assert_eq!(events(&system).await.len(), 1);
}
