//! What is sent, to whom, and what is not.

use serde_json::json;
use tidings_model::{Address, Position};
use tidings_streams::deliveries::Status::{Attempted, Delayed, Failed, Sent, Skipped};
use tidings_streams::purge_address;

use crate::support::{Scene, tenant, to};

/// Two dispatchers, of which one leads, then the other.
#[tokio::test]
async fn each_fallback_is_decided_once_for_each_user_who_is_meant() {
    let scene = Scene::new().await;
    scene.send("note.added", to("before", 0)).await;
    let (first, second) = (scene.leading().await, scene.dispatcher().await);
    let start = scene.start().await;
    // Two devices, of which one has the role; a user with it; one with another role; a device that comes later.
    scene.stands("ada", "phone", start, &["user:ada", "role:sre"]).await;
    scene.stands("ada", "laptop", start, &["user:ada"]).await;
    scene.stands("bob", "phone", start, &["user:bob", "role:sre"]).await;
    scene.stands("carl", "phone", start, &["user:carl", "role:dev"]).await;

    // Neither device has received it; the user is meant twice.
    scene.send("note.added", json!({ "user": "ada", "role": "sre", "n": 1 })).await;
    for user in ["ada", "bob"] {
        let decided = scene.decided(user, 1).await;
        assert_eq!(
            decided.iter().map(|(status, _)| *status).collect::<Vec<_>>(),
            [Attempted, Sent],
            "{user}"
        );
        assert_eq!(
            scene.receiver.sent_to(user).iter().map(|sent| &sent.2).collect::<Vec<_>>(),
            [&json!({ "n": 1 })]
        );
    }
    let fact = &scene.facts("ada").await[1].fact;
    assert_eq!(
        (fact.event.as_str(), fact.message.as_str(), fact.channel.as_str()),
        ("event-2", "note", "webhook")
    );
    assert_eq!((fact.attempts, fact.reference.as_deref()), (1, Some("reference-ada")));

    // A user whom nobody has ever seen, one who is nowhere, one whose receiver refuses, and one without a fallback.
    for (event, user) in
        [("wait.added", "eve"), ("note.added", "nowhere"), ("note.added", "never"), ("plain.added", "fay")]
    {
        scene.send(event, to(user, 2)).await;
    }
    assert_eq!(scene.decided("nowhere", 1).await, [(Skipped, "there is nowhere to send it to".to_owned())]);
    let failed = scene.decided("never", 1).await;
    assert_eq!(failed[1], (Failed, "status 410".to_owned()));

    first.stop().await;
    assert_eq!(scene.decided("eve", 1).await.len(), 2);
    assert_eq!(scene.receiver.sent_to("eve")[0].2, json!({ "number": 2 }), "the catalog's payload");
    // After a fault, or a takeover: nothing twice.
    scene.is_done().await;
    second.stop().await;
    let third = scene.leading().await;
    scene.send("note.added", to("last", 3)).await;
    scene.decided("last", 1).await;
    third.stop().await;
    let users: Vec<_> = scene.receiver.sent().into_iter().map(|(user, _, _)| user).collect();
    for (user, times) in
        [("ada", 1), ("bob", 1), ("carl", 0), ("eve", 1), ("never", 1), ("fay", 0), ("before", 0)]
    {
        assert_eq!(users.iter().filter(|sent| *sent == user).count(), times, "{user}");
    }
}

#[tokio::test]
async fn what_a_device_has_received_by_then_is_not_sent() {
    let scene = Scene::new().await;
    let dispatcher = scene.leading().await;
    let start = scene.start().await;
    for (user, device) in [("ada", "phone"), ("ada", "laptop"), ("bob", "phone"), ("gus", "phone")] {
        scene.stands(user, device, start, &[&format!("user:{user}"), "role:sre"]).await;
    }
    scene.stands("jim", "phone", start, &["user:jim"]).await;
    // Ada's laptop has it in time; bob's phone has what lies before it; gus's has lost the role.
    let at = scene.send("wait.added", json!({ "role": "sre", "n": 1 })).await;
    scene.stands("ada", "laptop", at, &[]).await;
    scene.stands("bob", "phone", Position { sequence: at.sequence - 1, ..at }, &[]).await;
    scene.stands("gus", "phone", at, &["user:gus"]).await;
    // A device that came after the message begins behind it, and has not received it.
    let at = scene.send("wait.added", to("hal", 2)).await;
    scene.stands("hal", "new", at, &["user:hal"]).await;
    // What is purged is not sent; of an escalation, what was received before its time is not either.
    scene.send("wait.added", to("ivy", 3)).await;
    let late = scene.send("late.added", to("jim", 4)).await;
    purge_address(&scene.topology, &tenant(), &Address::new("user", "ivy").unwrap()).await.unwrap();

    let received = |device: &str| vec![(Skipped, format!("received on device {device:?}"))];
    assert_eq!(scene.decided("ada", 1).await, received("laptop"));
    for user in ["bob", "gus", "hal"] {
        assert_eq!(scene.decided(user, 1).await.last().unwrap().0, Sent, "{user}");
    }
    let gone = "the message is not there any more: it has expired, or was replaced or purged".to_owned();
    assert_eq!(scene.decided("ivy", 1).await, [(Skipped, gone)]);
    // The first step is sent; then the phone has it.
    scene.decided("jim", 1).await;
    scene.stands("jim", "phone", late, &[]).await;
    let decided = scene.decided("jim", 3).await;
    assert_eq!(decided[1].0, Sent);
    assert_eq!(scene.receiver.sent_to("jim").len(), 1, "{decided:?}");
    // The same where the device came before a dispatcher has read the message.
    dispatcher.stop().await;
    let at = scene.send("wait.added", to("kim", 5)).await;
    scene.stands("kim", "new", at, &["user:kim"]).await;
    let dispatcher = scene.leading().await;
    assert_eq!(scene.decided("kim", 1).await.last().unwrap().0, Sent);
    scene.is_done().await;
    dispatcher.stop().await;
}

#[tokio::test]
async fn an_attempt_that_failed_is_made_again_later_with_the_same_id() {
    let scene = Scene::new().await;
    let dispatcher = scene.leading().await;
    scene.send("note.added", to("later", 1)).await;
    // The first attempt is followed by another one five seconds later, whoever makes it.
    harness::eventually("the first attempt has failed", harness::BOUND, async || {
        let facts = scene.facts("later").await;
        if facts.iter().any(|stored| stored.fact.status == Delayed) {
            Ok(())
        } else {
            Err(format!("{facts:?}"))
        }
    })
    .await;
    dispatcher.stop().await;
    let next = scene.leading().await;
    let decided: Vec<_> = scene.decided("later", 1).await.into_iter().map(|(status, _)| status).collect();
    assert_eq!(decided, [Attempted, Delayed, Attempted, Sent]);
    let sent = scene.receiver.sent_to("later");
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].1, sent[1].1);
    let facts = scene.facts("later").await;
    assert_eq!(facts.last().unwrap().fact.attempts, 2);
    assert!(facts[2].at - facts[0].at >= time::Duration::seconds(5));
    scene.is_done().await;
    let attempts = |outcome: &str| {
        format!("tidings_dispatcher_attempts_total{{shard=\"0\",channel=\"webhook\",outcome=\"{outcome}\"}}")
    };
    scene.counts(&[(&attempts("later"), 1), (&attempts("sent"), 1), (&attempts("failed"), 0)]).await;
    next.stop().await;
}
