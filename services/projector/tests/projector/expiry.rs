//! Expired envelopes are neither written late nor written twice.

use harness::{BOUND, eventually};
use serde_json::json;

use crate::process::Process;
use crate::support::Scene;

#[tokio::test]
async fn what_has_expired_before_it_could_be_written_is_dropped() {
    let scene = Scene::new().await;
    scene.publish("note.added", &json!({ "n": 1, "user": "u" })).await;
    scene.publish("beat.measured", &json!({ "n": 2, "user": "u" })).await;
    until_too_old(&scene).await;
    let projector = scene.projector().await;
    scene.publish("beat.measured", &json!({ "n": 3, "user": "u" })).await;
    scene.publish("note.added", &json!({ "n": 4, "user": "u" })).await;
    scene.until_last_note_is(4).await;
    // The note that showed the time, and 1, 3 and 4.
    scene.has_written(4).await;
    assert_eq!(scene.state("REJECTED").await, Ok((0, 0)));
    projector.stop().await;
}

#[tokio::test]
async fn a_tail_that_expired_makes_nothing_come_twice_or_not_at_all() {
    let scene = Scene::new().await;
    let projector = Process::start(&scene);
    scene.publish_notes(1..=20).await;
    for n in 21..=40 {
        scene.publish("beat.measured", &json!({ "n": n, "user": "u" })).await;
    }
    eventually("all are written", BOUND, async || match scene.state("ENVELOPES").await? {
        (40, _) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    projector.kill().await;
    // Acknowledgements are lost, and the envelopes that prove them are gone.
    scene.forget_consumer().await;
    eventually("the beats expire", BOUND, async || match scene.state("ENVELOPES").await? {
        (40, 20) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    let projector = scene.projector().await;
    scene.publish_notes(41..=60).await;
    scene.until_last_note_is(60).await;
    scene.has_written(60).await;
    scene.holds((1..=20).chain(41..=60)).await;
    projector.stop().await;
}

/// Waits until an event that was published before is older than a beat's time to live: NATS would remove a message
/// with that time to live that is published now.
async fn until_too_old(scene: &Scene) {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-TTL", "2s");
    scene.context.publish_with_headers("envelopes.clock", headers, "".into()).await.unwrap().await.unwrap();
    eventually("two seconds pass on the server", BOUND, async || match scene.state("ENVELOPES").await? {
        (_, 0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}
