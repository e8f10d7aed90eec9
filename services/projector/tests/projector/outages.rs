//! The projector waits during outages of NATS; they reject no event.

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use futures_util::StreamExt as _;
use harness::BOUND;
use serde_json::json;

use crate::process::Process;
use crate::support::{Scene, Stored, Task};

/// A note that is rejected: it has no user.
async fn publish_bad_note(scene: &Scene) {
    scene.publish("note.added", &json!({ "n": 0 })).await;
}

/// Checks that everything up to note `last` was written, and how many events were rejected.
async fn all_is_well(scene: &Scene, projector: Task, stored: Stored, last: u64, rejected: u64) {
    scene.until_all_done().await;
    scene.holds(1..=last).await;
    assert_eq!(stored.count().await, last);
    assert_eq!(scene.state("REJECTED").await.unwrap().1, rejected);
    projector.stop().await;
}

#[tokio::test]
async fn a_server_that_is_silent_for_long_costs_nothing() {
    let scene = Scene::new().await;
    let stored = scene.count_stored().await;
    let projector = scene.projector().await;
    let mut published = 0;
    for _ in 0..2 {
        scene.publish_notes(published + 1..=published + 1000).await;
        published += 1000;
        publish_bad_note(&scene).await;
        scene.nats.pause().unwrap();
        // Until requests fail and the projector's no longer wait. Requests in flight may be answered.
        while scene.context.get_stream("EVENTS").await.is_ok() {}
        scene.nats.resume().unwrap();
    }
    all_is_well(&scene, projector, stored, published, 2).await;
}

#[tokio::test]
async fn a_full_stream_of_envelopes_is_waited_out() {
    let scene = Scene::new().await;
    let stored = scene.count_stored().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=100).await;
    scene.until_last_note_is(100).await;
    let full = Full::make(&scene, "ENVELOPES").await;
    // The projector's publications: the same note again and again, and those behind it.
    let mut sent = scene.nats.client().await.subscribe("envelopes.>").await.unwrap();
    scene.publish_notes(101..=600).await;
    publish_bad_note(&scene).await;
    let mut attempts = 0;
    while attempts < 3 {
        let note = tokio::time::timeout(BOUND, sent.next()).await.unwrap().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&note.payload).unwrap();
        attempts += u64::from(body["n"] == 101);
    }
    assert_eq!(scene.state("ENVELOPES").await, Ok((100, 100)));
    full.make_room(&scene).await;
    all_is_well(&scene, projector, stored, 600, 1).await;
}

#[tokio::test]
async fn a_full_stream_of_rejections_is_waited_out() {
    let scene = Scene::new().await;
    let stored = scene.count_stored().await;
    let projector = scene.projector().await;
    publish_bad_note(&scene).await;
    scene.until_all_done().await;
    let full = Full::make(&scene, "REJECTED").await;
    let mut sent = scene.nats.client().await.subscribe("rejected.>").await.unwrap();
    publish_bad_note(&scene).await;
    scene.publish_notes(1..=10).await;
    for _ in 0..3 {
        tokio::time::timeout(BOUND, sent.next()).await.unwrap().unwrap();
    }
    full.make_room(&scene).await;
    all_is_well(&scene, projector, stored, 10, 2).await;
}

/// However many attempts it takes.
#[tokio::test]
async fn an_outage_is_logged_when_it_begins_and_when_it_ends() {
    let scene = Scene::new().await;
    let projector = Process::start(&scene);
    publish_bad_note(&scene).await;
    scene.publish_notes(1..=100).await;
    scene.until_all_done().await;
    // All ten notes are sent at each attempt.
    for (stream, subject, action, sent) in [
        ("REJECTED", "rejected.>", "keep a rejected event", 4),
        ("ENVELOPES", "envelopes.>", "write envelopes", 40),
    ] {
        let full = Full::make(&scene, stream).await;
        let mut attempts = scene.nats.client().await.subscribe(subject).await.unwrap();
        publish_bad_note(&scene).await;
        scene.publish_notes(101..=110).await;
        for _ in 0..sent {
            tokio::time::timeout(BOUND, attempts.next()).await.unwrap().unwrap();
        }
        full.make_room(&scene).await;
        projector.until_it_says(&format!("can {action} again")).await;
        scene.until_all_done().await;
        let (begins, ends) = (format!("cannot {action} now"), format!("can {action} again"));
        assert_eq!((projector.says(&begins), projector.says(&ends)), (1, 1), "{action}");
    }
    projector.kill().await;
}

/// A stream that accepts no more messages.
struct Full(Config);

impl Full {
    async fn make(scene: &Scene, stream: &str) -> Self {
        let info = scene.context.get_stream(stream).await.unwrap().cached_info().clone();
        let full = Config {
            max_bytes: i64::try_from(info.state.bytes).unwrap(),
            discard: DiscardPolicy::New,
            ..info.config.clone()
        };
        scene.context.update_stream(full).await.unwrap();
        Self(info.config)
    }

    async fn make_room(self, scene: &Scene) {
        scene.context.update_stream(self.0).await.unwrap();
    }
}
