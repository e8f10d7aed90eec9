//! Events become envelopes in their order, once each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use harness::{BOUND, eventually};
use serde_json::json;
use tidings_projector::{ProjectorError, Settings};

use crate::process::Process;
use crate::support::{SHORTEST_WINDOW, Scene, Task, settings};

#[tokio::test]
async fn envelopes_lie_in_the_order_of_their_events() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=1500).await;
    scene.until_last_note_is(1500).await;
    scene.holds(1..=1500).await;
    scene.until_all_done().await;
    projector.stop().await;
}

/// An acknowledgement costs nats-server as much as an event does.
#[tokio::test]
async fn one_acknowledgement_covers_many_events() {
    let scene = Scene::new().await;
    let acknowledged = AtomicU64::new(0);
    let client = scene.nats.client().await;
    let mut acknowledgements = client.subscribe("$JS.ACK.EVENTS.projector.>").await.unwrap();
    client.flush().await.unwrap();
    let count = async {
        while acknowledgements.next().await.is_some() {
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    };
    let projector = scene.projector().await;
    let project = async {
        for n in 1..=1_000 {
            scene.publish_notes(n..=n).await;
        }
        scene.until_last_note_is(1_000).await;
        // The last one comes by itself, and not only when the projector ends.
        scene.until_all_done().await;
    };
    tokio::select! {
        () = project => {}
        () = count => {}
    }
    let acknowledged = acknowledged.into_inner();
    assert!((1..500).contains(&acknowledged), "{acknowledged} acknowledgements of 1000 events");
    scene.holds(1..=1_000).await;
    projector.stop().await;
}

#[tokio::test]
async fn an_event_goes_to_ten_thousand_addresses_in_the_order_of_its_data() {
    let scene = Scene::new().await;
    let watchers: Vec<_> = (0..10_000).map(|n| format!("w{n}")).collect();
    scene.publish("note.added", &json!({ "n": 1, "user": "before" })).await;
    scene.publish("group.called", &json!({ "n": 2, "watchers": watchers })).await;
    scene.publish("note.added", &json!({ "n": 3, "user": "after" })).await;
    // More in flight than the client library would allow at once.
    let projector = Task::start(scene.topology.clone(), Settings { in_flight: 20_000, ..settings() });
    scene.until_last_note_is(3).await;

    let envelopes = scene.envelopes().await;
    let reached: Vec<_> =
        envelopes.iter().map(|stored| stored.envelope.subject.address.id().unwrap()).collect();
    let expected = [&["before".to_owned()], watchers.as_slice(), &["after".to_owned()]].concat();
    assert_eq!(reached, expected);
    projector.stop().await;
}

#[tokio::test]
async fn an_event_published_twice_with_the_same_id_becomes_one_envelope() {
    let window = Duration::from_secs(120);
    let scene = Scene::on(harness::nats().await, window).await;
    let projector = scene.projector().await;
    let event = |id: &str, n: u64| json!({ "specversion": "1.0", "id": id, "source": "s", "type": "note", "data": { "n": n, "user": "u" } });
    scene.publish("note.added", &event("a", 1)).await;
    scene.publish("note.added", &event("a", 1)).await;
    scene.publish("note.added", &event("b", 2)).await;
    scene.until_last_note_is(2).await;
    assert_eq!(scene.state("EVENTS").await, Ok((3, 3)));
    scene.holds([1, 2]).await;
    projector.stop().await;
}

/// Also for several addresses, in another form, and with a kill in between.
#[tokio::test]
async fn an_event_that_comes_again_within_the_window_reaches_nobody_twice() {
    let scene = Scene::on(harness::nats().await, Duration::from_secs(120)).await;
    let data = |n: u64| json!({ "n": n, "watchers": ["a", "b", "c"] });
    let structured = json!({ "specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": data(1) });
    let binary = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "s"), ("ce-type", "t")];
    for last in [11, 12, 13] {
        let projector = Process::start(&scene);
        scene.publish("group.called", &structured).await;
        scene.publish_with("group.called", &binary, &data(1)).await;
        scene.publish("note.added", &json!({ "n": last, "user": "u" })).await;
        scene.until_last_note_is(last).await;
        projector.kill().await;
    }
    scene.holds([1, 1, 1, 11, 12, 13]).await;
    assert_eq!(scene.state("EVENTS").await, Ok((9, 9)));
}

/// Beyond the window a repetition looks like a new event. The event itself is still projected once.
#[tokio::test]
async fn an_event_that_comes_again_after_the_window_is_another_one() {
    let scene = Scene::new().await;
    let data = json!({ "n": 1, "user": "u" });
    let event = json!({ "specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": data });
    let projector = Process::start(&scene);
    scene.publish("note.added", &event).await;
    eventually("the window is over", BOUND, async || {
        let events = scene.context.get_stream("EVENTS").await.map_err(|error| error.to_string())?;
        let first = events.get_raw_message(1).await.map_err(|error| error.to_string())?;
        let passed = time::OffsetDateTime::now_utc() - first.time;
        if passed > SHORTEST_WINDOW { Ok(()) } else { Err(passed.to_string()) }
    })
    .await;
    scene.publish("note.added", &event).await;
    scene.until_all_done().await;
    // Only the envelopes themselves show what is done.
    projector.kill().await;
    scene.forget_consumer().await;
    let projector = scene.projector().await;
    scene.publish_notes(2..=2).await;
    scene.until_last_note_is(2).await;
    scene.holds([1, 1, 2]).await;
    projector.stop().await;
}

#[tokio::test]
async fn ids_are_told_apart_wherever_their_slashes_are() {
    let window = Duration::from_secs(120);
    let scene = Scene::on(harness::nats().await, window).await;
    let projector = scene.projector().await;
    for (n, source, id) in [(1, "orders", "eu/1"), (2, "orders/eu", "1"), (3, "orders", "eu=2F1")] {
        let event = json!({ "specversion": "1.0", "id": id, "source": source, "type": "note", "data": { "n": n, "user": "u" } });
        scene.publish("note.added", &event).await;
    }
    scene.until_all_done().await;
    scene.holds([1, 2, 3]).await;
    projector.stop().await;
}

#[tokio::test]
async fn a_planned_restart_leaves_nothing_to_do_twice() {
    let scene = Scene::new().await;
    for first in [1, 101, 201] {
        let projector = scene.projector().await;
        scene.publish_notes(first..first + 100).await;
        scene.until_last_note_is(first + 99).await;
        projector.stop().await;
        scene.until_all_done().await;
    }
    scene.holds(1..=300).await;
}

#[tokio::test]
async fn a_server_that_takes_too_small_messages_is_refused_at_start() {
    let nats = harness::nats_with(|options| options.config("max_payload: 65536")).await;
    let scene = Scene::on(nats, SHORTEST_WINDOW).await;
    let error = scene.projector().await.ended().await.unwrap_err();
    assert!(matches!(error, ProjectorError::MaxPayload(65_536)), "{error}");
    assert!(error.to_string().contains("`max_payload`"), "{error}");
}

#[tokio::test]
async fn a_stream_that_takes_too_small_messages_is_refused_at_start() {
    let scene = Scene::new().await;
    let mut config = scene.context.get_stream("ENVELOPES").await.unwrap().cached_info().config.clone();
    config.max_message_size = 65_536;
    scene.context.update_stream(config).await.unwrap();
    let error = scene.projector().await.ended().await.unwrap_err();
    assert!(matches!(error, ProjectorError::MaxPayload(65_536)), "{error}");
}

#[tokio::test]
async fn a_projector_can_be_stopped_while_nats_is_away() {
    let mut scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=3000).await;
    scene.nats.kill().await.unwrap();
    tokio::time::timeout(BOUND, projector.stop()).await.unwrap();
}
