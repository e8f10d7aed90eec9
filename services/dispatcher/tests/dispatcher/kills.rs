//! Dispatchers that are killed, and NATS that comes back with an older state.

use harness::{BOUND, eventually};
use tidings_streams::deliveries::Status::{Attempted, Sent, Unknown};

use crate::support::{Scene, to};

async fn sent(scene: &Scene, user: &str, times: usize) {
    eventually(&format!("{times} attempts for {user}"), BOUND, async || {
        let sent = scene.receiver.sent_to(user);
        if sent.len() >= times { Ok(()) } else { Err(format!("{sent:?}")) }
    })
    .await;
}

#[tokio::test]
async fn what_is_killed_in_the_middle_of_an_attempt_is_repeated_once_with_the_same_id() {
    let scene = Scene::new().await;
    let first = scene.leading().await;
    scene.receiver.hang(3);
    // Of one message the attempt and its repetition hang, of the other only the attempt.
    scene.send("note.added", to("hang", 1)).await;
    sent(&scene, "hang", 1).await;
    for n in 0..20 {
        scene.send("note.added", to(&format!("u{n}"), n)).await;
    }
    first.kill().await;
    let second = scene.dispatcher().await;
    sent(&scene, "hang", 2).await;
    scene.send("note.added", to("hang", 2)).await;
    sent(&scene, "hang", 3).await;
    second.kill().await;
    let third = scene.dispatcher().await;
    let statuses: Vec<_> = scene.decided("hang", 2).await.into_iter().map(|(status, _)| status).collect();
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(Attempted), count(Unknown), count(Sent)), (4, 1, 1), "{statuses:?}");
    for n in 0..20 {
        scene.decided(&format!("u{n}"), 1).await;
    }
    scene.is_done().await;
    third.stop().await;
    let sent = scene.receiver.sent();
    let ids: std::collections::BTreeSet<_> =
        sent.iter().map(|(user, id, n)| (user, id, n.to_string())).collect();
    assert_eq!(ids.len(), 22, "one id for each message and user");
    for (user, id, _) in &ids {
        let times = sent.iter().filter(|(_, other, _)| other == *id).count();
        assert!(times == 1 || times == 2, "{user}: {times}");
    }
}

#[tokio::test]
async fn what_nats_has_lost_of_deliveries_is_read_again() {
    let mut scene = Scene::new().await;
    let first = scene.leading().await;
    scene.send("note.added", to("early", 1)).await;
    scene.decided("early", 1).await;
    first.stop().await;
    let saved = scene.nats.save(&["DELIVERIES"]).await;
    let second = scene.dispatcher().await;
    scene.send("late.added", to("ada", 2)).await;
    eventually("it waits", BOUND, async || {
        let (through, _) =
            scene.deliveries.through(tidings_model::ShardNumber(0)).await.map_err(|e| e.to_string())?;
        let sequence = through.map_or(0, |through| through.position.sequence);
        if sequence == 2 { Ok(()) } else { Err(format!("read through {sequence}")) }
    })
    .await;
    scene.nats.bring_back(saved).await;
    scene.decided("ada", 3).await;
    assert_eq!(scene.receiver.sent_to("ada").len(), 2, "once for each webhook");
    assert_eq!(scene.receiver.sent_to("early").len(), 1);
    scene.is_done().await;
    second.stop().await;
}
