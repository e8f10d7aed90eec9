//! Deliveries that were not sent are made again when somebody wants it.

use harness::{BOUND, eventually};
use tidings_model::DeliveryName;
use tidings_streams::deliveries::Status::{Attempted, Delayed, Failed, Sent, Skipped, Unknown};
use tidings_streams::deliveries::{RetryDeliveryError, Status};

use crate::support::{Scene, tenant, to};

/// The user's only delivery.
async fn name(scene: &Scene, user: &str) -> DeliveryName {
    let facts = scene.facts(user).await;
    let (first, rest) = facts.split_first().unwrap();
    assert!(rest.iter().all(|other| other.name == first.name), "{facts:?}");
    first.name.clone()
}

async fn statuses(scene: &Scene, user: &str, decisions: usize) -> Vec<Status> {
    scene.decided(user, decisions).await.into_iter().map(|(status, _)| status).collect()
}

#[tokio::test]
async fn what_has_failed_is_made_again_with_the_same_id_and_a_whole_plan() {
    let scene = Scene::new().await;
    let dispatcher = scene.leading().await;
    // The first attempt fails for good, the second for now, the third does not.
    scene.send("note.added", to("refused", 1)).await;
    assert_eq!(statuses(&scene, "refused", 1).await, [Attempted, Failed]);
    scene.is_done().await;
    dispatcher.stop().await;
    let name = name(&scene, "refused").await;
    // Twice before anybody handles it.
    for _ in 0..2 {
        assert_eq!(scene.deliveries.retry(&name).await.unwrap().status, Failed);
    }
    let dispatcher = scene.leading().await;
    let all = [Attempted, Failed, Attempted, Delayed, Attempted, Sent];
    assert_eq!(statuses(&scene, "refused", 2).await, all);
    let facts = scene.facts("refused").await;
    assert_eq!(facts.iter().map(|stored| stored.fact.attempts).collect::<Vec<_>>(), [1, 1, 2, 2, 3, 3]);
    let sent = scene.receiver.sent_to("refused");
    assert!(sent.len() == 3 && sent.iter().all(|(_, id, _)| *id == facts[0].fact.delivery), "{sent:?}");
    scene.is_done().await;
    match scene.deliveries.retry(&name).await {
        Err(RetryDeliveryError::Status(Sent)) => {}
        other => panic!("{other:?}"),
    }
    let other = DeliveryName { user: "nobody".to_owned(), ..name };
    assert!(matches!(scene.deliveries.retry(&other).await, Err(RetryDeliveryError::NotFound)));
    dispatcher.stop().await;
}

#[tokio::test]
async fn what_was_received_meanwhile_is_not_made_again() {
    let scene = Scene::new().await;
    let dispatcher = scene.leading().await;
    let start = scene.start().await;
    scene.stands("never", "phone", start, &["user:never"]).await;
    let at = scene.send("note.added", to("never", 1)).await;
    assert_eq!(statuses(&scene, "never", 1).await, [Attempted, Failed]);
    scene.is_done().await;
    scene.stands("never", "phone", at, &[]).await;
    let name = name(&scene, "never").await;
    scene.deliveries.retry(&name).await.unwrap();
    let decided = scene.decided("never", 2).await;
    assert_eq!(decided[2], (Skipped, "received on device \"phone\"".to_owned()));
    assert_eq!(scene.receiver.sent_to("never").len(), 1);
    scene.is_done().await;
    dispatcher.stop().await;
}

#[tokio::test]
async fn a_retry_survives_the_end_of_its_sender_and_is_repeated_once() {
    let scene = Scene::new().await;
    let first = scene.leading().await;
    scene.receiver.hang(3);
    scene.send("note.added", to("hang", 1)).await;
    let hangs = async |times: usize| {
        eventually(&format!("{times} attempts"), BOUND, async || {
            let sent = scene.receiver.sent_to("hang");
            if sent.len() == times { Ok(()) } else { Err(format!("{sent:?}")) }
        })
        .await;
    };
    hangs(1).await;
    first.kill().await;
    let second = scene.dispatcher().await;
    hangs(2).await;
    second.kill().await;
    // The attempt and its repetition have ended in the middle: nobody knows.
    let third = scene.dispatcher().await;
    assert_eq!(statuses(&scene, "hang", 1).await, [Attempted, Attempted, Unknown]);
    scene.is_done().await;
    let name = name(&scene, "hang").await;
    scene.deliveries.retry(&name).await.unwrap();
    hangs(3).await;
    third.kill().await;
    let fourth = scene.dispatcher().await;
    let all = [Attempted, Attempted, Unknown, Attempted, Attempted, Sent];
    assert_eq!(statuses(&scene, "hang", 2).await, all);
    let facts = scene.facts("hang").await;
    let repeated: Vec<_> = facts.iter().map(|stored| stored.fact.is_repeated).collect();
    assert_eq!(repeated, [false, true, true, false, true, true]);
    scene.is_done().await;
    fourth.stop().await;
    let sent = scene.receiver.sent_to("hang");
    assert!(sent.len() == 4 && sent.iter().all(|(_, id, _)| *id == sent[0].1), "{sent:?}");
    assert_eq!(tenant(), name.tenant);
}
