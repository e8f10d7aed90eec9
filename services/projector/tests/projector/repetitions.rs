//! An event counts once within its tenant and source, and reusing an id for a different event is reported.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use futures_util::TryStreamExt as _;
use harness::{BOUND, eventually};
use serde_json::{Value, json};
use tidings_catalog::Catalogs;
use tidings_streams::{RejectedEvent, Rejections};

use crate::places::place;
use crate::process::Process;
use crate::support::{Scene, Task, catalogs_of, number, settings};

/// Longer than any test takes.
const WINDOW: Duration = Duration::from_secs(120);

async fn scene() -> Scene {
    Scene::on(harness::nats().await, WINDOW).await
}

fn event(source: &str, id: &str, data: &Value) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": source, "type": "t", "data": data })
}

fn note(source: &str, id: &str, n: u64) -> Value {
    event(source, id, &json!({ "n": n, "user": "u" }))
}

async fn start(scene: &Scene, catalogs: Arc<Catalogs>) -> Task {
    Task::start_with(scene.own_topology().await, settings(), catalogs)
}

/// All rejections of all tenants, as in `tidings rejected ls`: sequence and reason.
async fn rejected(scene: &Scene) -> Vec<(u64, String)> {
    let listed: Vec<_> = rejections(scene).await;
    listed.into_iter().map(|rejected| (rejected.position.sequence, rejected.reason)).collect()
}

async fn rejections(scene: &Scene) -> Vec<RejectedEvent> {
    Rejections::new(&scene.topology).list_all().try_collect().await.unwrap()
}

/// Publishes a note of a tenant with this `Nats-Msg-Id`.
async fn publish_as(scene: &Scene, tenant: &str, id: &str, n: u64) {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id);
    let (subject, data) = (format!("events.{tenant}.note.added"), json!({ "n": n, "user": "u" }));
    let sent = scene.context.publish_with_headers(subject, headers, data.to_string().into()).await.unwrap();
    assert!(!sent.await.unwrap().duplicate);
}

#[tokio::test]
async fn tenants_and_sources_have_ids_of_their_own() {
    let scene = scene().await;
    let projector = start(&scene, catalogs_of(&["t", "u"])).await;
    for (tenant, n) in [("t", 1), ("u", 2), ("t", 1), ("u", 2)] {
        publish_as(&scene, tenant, "order-17", n).await;
    }
    for (n, source, id) in [(3, "a", "1"), (4, "b", "1"), (5, "a/1", ""), (6, "", "a1"), (7, "a", "order-17")]
    {
        scene.publish("note.added", &note(source, id, n)).await;
    }
    // Without an id of its producer, each event is new.
    scene.publish_notes([8, 8].into_iter()).await;
    scene.until_all_done().await;
    scene.holds([1, 2, 3, 4, 5, 6, 7, 8, 8]).await;
    assert_eq!(rejected(&scene).await, []);
    projector.stop().await;
}

#[tokio::test]
async fn another_event_with_the_same_id_is_rejected_and_says_which() {
    let scene = scene().await;
    let projector = scene.projector().await;
    let first = scene.publish("note.added", &note("/incidents", "I-1", 1)).await;
    let other = scene.publish("note.added", &note("/incidents", "I-1", 2)).await;
    // The same content, formatted differently, and the same with another event name.
    let again = json!({ "data": { "user": "u", "n": 1.0 }, "type": "t", "source": "/incidents", "id": "I-1", "specversion": "1.0", "time": "2025-01-17T10:30:00Z" });
    scene.publish("note.added", &again).await;
    let named = scene.publish("deep.added", &again).await;
    scene.publish_notes(3..=3).await;
    scene.until_last_note_is(3).await;
    scene.holds([1, 3]).await;
    let found = rejections(&scene).await;
    assert_eq!(found.iter().map(|one| one.position.sequence).collect::<Vec<_>>(), [other, named]);
    for one in &found {
        assert_eq!((one.reason.as_str(), one.position.epoch), ("id-reused", found[0].position.epoch));
        for part in ["\"I-1\"", "\"/incidents\"", &one.position.to_string(), "retry"] {
            assert!(one.text.contains(part), "{part}: {}", one.text);
        }
    }
    assert!(found[0].text.contains(&format!("-{first} has")), "{}", found[0].text);
    projector.stop().await;
}

#[tokio::test]
async fn the_id_of_a_rejected_event_is_free() {
    let scene = scene().await;
    // Also for a projector that did not reject it itself.
    for (n, is_killed) in [(1, false), (2, true)] {
        let projector = Process::start(&scene);
        let id = n.to_string();
        let rejected_event = scene.publish("note.added", &event("s", &id, &json!({ "n": n }))).await;
        scene.until_all_done().await;
        if is_killed {
            projector.kill().await;
        }
        let next = scene.projector().await;
        scene.publish("note.added", &note("s", &id, n)).await;
        // The corrected event has the id now.
        scene.publish("note.added", &note("s", &id, n)).await;
        let other = scene.publish("note.added", &note("s", &id, 9)).await;
        scene.until_all_done().await;
        scene.holds(1..=n).await;
        let found = rejected(&scene).await;
        assert!(found.contains(&(rejected_event, "missing-value".to_owned())), "{found:?}");
        assert!(found.contains(&(other, "id-reused".to_owned())), "{found:?}");
        next.stop().await;
    }
}

#[tokio::test]
async fn whoever_takes_over_knows_what_came_before() {
    let scene = scene().await;
    for round in 1..=3 {
        let projector = Process::start(&scene);
        for n in 1..=4 {
            scene.publish("note.added", &note("s", &n.to_string(), n)).await;
        }
        let other = scene.publish("note.added", &note("s", "1", 7)).await;
        let end = scene.publish("note.added", &note("s", &format!("end {round}"), 10 + round)).await;
        assert!(end > other);
        scene.until_last_note_is(10 + round).await;
        projector.kill().await;
        // Only the streams show what was done.
        scene.forget_consumer().await;
    }
    let projector = scene.projector().await;
    scene.publish_notes(20..=20).await;
    scene.until_last_note_is(20).await;
    scene.holds([1, 2, 3, 4, 11, 12, 13, 20]).await;
    let expected = [5, 11, 17].map(|sequence| (sequence, "id-reused".to_owned()));
    assert_eq!(
        rejected(&scene).await.into_iter().collect::<std::collections::BTreeSet<_>>(),
        expected.into()
    );
    projector.stop().await;
}

/// Also in a rebuild, which decides by the same times and by its own catalogs.
#[tokio::test]
async fn a_rejected_event_is_retried_once() {
    let scene = scene().await;
    let projector = scene.projector().await;
    publish_as(&scene, "u", "1", 1).await;
    publish_as(&scene, "u", "2", 2).await;
    scene.until_all_done().await;
    projector.stop().await;
    let found = rejections(&scene).await;
    assert_eq!(found.len(), 2);

    let projector = start(&scene, catalogs_of(&["t", "u"])).await;
    let rejections = Rejections::new(&scene.topology);
    for one in &found {
        let whole = rejections.find(one.position).await.unwrap().unwrap();
        // As if the process had been killed between publishing and removing.
        rejections.retry(&whole).await.unwrap();
        rejections.retry(&whole).await.unwrap();
    }
    // The producer sends it again, too.
    publish_as(&scene, "u", "1", 1).await;
    scene.until_all_done().await;
    scene.holds([1, 2]).await;
    assert_eq!(rejected(&scene).await, []);
    projector.stop().await;
}

/// Held envelopes are found again in `EVENTS`, where their repetitions are as well.
#[tokio::test]
async fn a_repetition_of_what_is_limited_is_not_written_by_who_takes_over() {
    let scene = scene().await;
    let progress = |id: &str, n: u64| event("s", id, &json!({ "n": n, "user": "u", "job": "j" }));
    let projector = Process::start(&scene);
    for (id, n) in [("1", 1), ("1", 1), ("2", 2), ("2", 2), ("2", 3), ("1", 1)] {
        scene.publish("job.progressed", &progress(id, n)).await;
    }
    scene.until_all_done().await;
    projector.kill().await;
    let projector = scene.projector().await;
    scene.until_last_note_is(2).await;
    scene.publish_notes(9..=9).await;
    scene.until_last_note_is(9).await;
    assert_eq!(scene.envelopes().await.iter().map(number).collect::<Vec<_>>(), [2, 9]);
    assert_eq!(rejected(&scene).await, [(5, "id-reused".to_owned())]);
    projector.stop().await;
}

#[tokio::test]
async fn a_rebuild_decides_as_live_projecting_did() {
    let scene = scene().await;
    let projector = scene.projector().await;
    for (id, n) in [("1", 1), ("2", 2), ("1", 1), ("2", 5), ("3", 3), ("2", 2), ("3", 3)] {
        scene.publish("note.added", &note("s", id, n)).await;
    }
    scene.until_all_done().await;
    scene.has_notes(place(0, 0), 1..=3).await;
    let next = scene.ask(0, None).await;
    scene.until_current(next).await;
    scene.has_notes(next, 1..=3).await;
    // Live projecting still remembers it.
    scene.publish("note.added", &note("s", "3", 3)).await;
    scene.publish("note.added", &note("s", "4", 4)).await;
    scene.until_last_note_is(4).await;
    scene.has_notes(next, 1..=4).await;
    projector.stop().await;
}

/// The times of `EVENTS` count, not those at which the projector reads.
#[tokio::test]
async fn what_waited_for_a_projector_is_decided_by_when_it_was_published() {
    let window = Duration::from_millis(300);
    let scene = Scene::on(harness::nats().await, window).await;
    let published = async |sequence: u64| {
        let events = scene.context.get_stream("EVENTS").await.unwrap();
        events.get_raw_message(sequence).await.unwrap().time
    };
    scene.publish("note.added", &note("s", "1", 1)).await;
    eventually("the window is over", BOUND, async || {
        let last = scene.publish("note.added", &json!({ "n": 2, "user": "u" })).await;
        let passed = published(last).await - published(1).await;
        if passed >= window { Ok(()) } else { Err(format!("{passed}")) }
    })
    .await;
    scene.publish("note.added", &note("s", "1", 1)).await;
    let projector = scene.projector().await;
    scene.until_last_note_is(1).await;
    scene.until_all_done().await;
    let found: Vec<_> = scene.envelopes().await.iter().map(number).filter(|n| *n == 1).collect();
    assert_eq!(found, [1, 1]);
    projector.stop().await;
}

/// The projector of the shard that a tenant moves to has not read the tenant's earlier events live.
#[tokio::test]
async fn a_tenant_takes_its_ids_along_when_it_moves() {
    let scene = scene().await;
    let projectors = [scene.projector_of(0).await, scene.projector_of(1).await];
    for n in 1..=3 {
        scene.publish("note.added", &note("s", &n.to_string(), n)).await;
    }
    let next = scene.ask(1, None).await;
    scene.until_current(next).await;
    scene.publish("note.added", &note("s", "1", 1)).await;
    let other = scene.publish("note.added", &note("s", "2", 9)).await;
    scene.publish("note.added", &note("s", "4", 4)).await;
    scene.until_there_are(4, next).await;
    scene.has_notes(next, 1..=4).await;
    assert_eq!(rejected(&scene).await, [(other, "id-reused".to_owned())]);
    for projector in projectors {
        projector.stop().await;
    }
}
