//! Exactly once, whatever is killed under load.

use std::time::Duration;

use async_nats::jetstream;
use futures_util::StreamExt as _;
use harness::{BOUND, eventually};
use serde_json::json;

use crate::process::Process;
use crate::support::Scene;

#[tokio::test]
async fn a_projector_killed_under_load_leaves_each_envelope_once() {
    let scene = Scene::new().await;
    // The projectors' publications, including refused ones, so that the kill falls between two publications.
    let mut sent = scene.nats.client().await.subscribe("envelopes.>").await.unwrap();
    scene.publish_notes(1..=4000).await;
    for round in 0..10_u64 {
        let projector = Process::start(&scene);
        // Any numbers that are spread over an in-flight window.
        for _ in 0..(round * 97 + 31) % 300 {
            tokio::time::timeout(2 * BOUND, sent.next()).await.unwrap().unwrap();
        }
        projector.kill().await;
    }
    let projector = scene.projector().await;
    scene.until_last_note_is(4000).await;
    scene.holds(1..=4000).await;
    projector.stop().await;
}

#[tokio::test]
async fn a_server_killed_under_load_costs_nothing() {
    let mut scene = Scene::new().await;
    let projector = scene.projector().await;
    let mut published = 0;
    for _ in 0..4 {
        scene.publish_notes(published + 1..=published + 800).await;
        published += 800;
        scene.nats.kill().await.unwrap();
        scene.nats.restart().await.unwrap();
        until_reachable(&scene.context).await;
    }
    scene.until_last_note_is(published).await;
    scene.holds(1..=published).await;
    assert_eq!(scene.state("REJECTED").await, Ok((0, 0)), "a fault of NATS is no fault of an event");
    projector.stop().await;
}

#[tokio::test]
async fn a_consumer_deleted_under_load_costs_nothing() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    for first in [1, 501, 1001] {
        scene.publish_notes(first..first + 500).await;
        scene.forget_consumer().await;
    }
    scene.until_last_note_is(1500).await;
    scene.holds(1..=1500).await;
    projector.stop().await;
}

#[tokio::test]
async fn what_others_put_into_the_stream_makes_nothing_come_twice() {
    let scene = Scene::new().await;
    let projector = Process::start(&scene);
    scene.publish_notes(1..=300).await;
    scene.until_last_note_is(300).await;
    projector.kill().await;
    // The consumer is deleted, and with it what was acknowledged: only ENVELOPES shows what is done.
    scene.forget_consumer().await;
    scene.context.publish("envelopes.by.hand", "x".into()).await.unwrap().await.unwrap();

    let projector = scene.projector().await;
    scene.publish("note.added", &json!({ "n": 301, "user": "u" })).await;
    scene.until_last_note_is(301).await;
    scene.holds(1..=301).await;
    projector.stop().await;
}

#[tokio::test]
async fn what_others_put_into_the_stream_displaces_nothing() {
    let scene = Scene::new().await;
    scene.publish_notes(1..=2000).await;
    let mut sent = scene.nats.client().await.subscribe("envelopes.t.>").await.unwrap();
    let projector = scene.projector().await;
    // Amid the pipeline, so that the publications behind it find that the stream has grown.
    for _ in 0..8 {
        for _ in 0..150 {
            tokio::time::timeout(BOUND, sent.next()).await.unwrap().unwrap();
        }
        for _ in 0..3 {
            scene.context.publish("envelopes.by.hand", "x".into()).await.unwrap().await.unwrap();
        }
    }
    scene.until_all_done().await;
    scene.holds(1..=2000).await;
    projector.stop().await;
}

#[tokio::test]
async fn events_made_anew_are_projected_from_their_beginning() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=50).await;
    scene.until_last_note_is(50).await;
    scene.nats.renew("EVENTS").await;
    scene.publish_notes(51..=80).await;
    scene.until_last_note_is(80).await;
    scene.holds(1..=80).await;
    projector.stop().await;
}

/// Waits until JetStream answers this client again.
async fn until_reachable(context: &jetstream::Context) {
    eventually("NATS answers", BOUND, async || {
        let asked = tokio::time::timeout(Duration::from_secs(1), context.get_stream("EVENTS"));
        asked.await.map_err(|_| "silence".to_owned())?.map_err(|error| error.to_string())
    })
    .await;
}
