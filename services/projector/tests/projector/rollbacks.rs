//! NATS returns with an older state of one stream or of both: events published afterwards are projected, once, and
//! rebuilds distinguish the epochs of `EVENTS`.

use std::time::Duration;

use harness::{BOUND, eventually};
use time::OffsetDateTime;

use crate::support::{Scene, number};

/// The projector's state during the rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Projector {
    RunsOn,
    IsStartedAgain,
}

/// Notes 1 to 50 are projected, the store is saved, 51 to 100 are projected, the store is restored, and others are
/// published up to `last`, more or fewer than were lost.
async fn bring_back(parts: &[&str], projector: Projector, last: u64) {
    let mut scene = Scene::new().await;
    let mut running = Some(scene.projector().await);
    scene.publish_notes(1..=50).await;
    scene.until_last_note_is(50).await;
    scene.until_all_done().await;
    let saved = scene.nats.save(parts).await;
    answers(&scene).await;
    scene.publish_notes(51..=100).await;
    scene.until_last_note_is(100).await;
    scene.until_all_done().await;
    let saved_until = OffsetDateTime::now_utc();
    if projector == Projector::IsStartedAgain {
        running.take().unwrap().stop().await;
    }
    scene.nats.bring_back(saved).await;
    answers(&scene).await;
    // A projector that has just started compares times of two streams, whose servers' clocks may differ.
    eventually("a second has passed", BOUND, async || {
        let passed = OffsetDateTime::now_utc() - saved_until;
        if passed > Duration::from_secs(1) { Ok(()) } else { Err(passed) }
    })
    .await;
    scene.publish_notes(101..=last).await;
    let running = match running {
        Some(running) => running,
        None => scene.projector().await,
    };
    scene.until_last_note_is(last).await;
    scene.until_all_done().await;
    let is_kept = |stream| !parts.contains(&stream);
    let found: Vec<_> = scene.envelopes().await.iter().map(number).collect();
    let of_before = found.len() - usize::try_from(last - 100).unwrap();
    let (before, after) = found.split_at(of_before);
    assert_eq!(after, (101..=last).collect::<Vec<_>>());
    if is_kept("EVENTS") {
        // Acknowledgements that the server had not yet stored are repeated.
        assert!(before.is_sorted_by(|one, next| one < next) && before.len() >= 50, "{before:?}");
    } else {
        let written = if is_kept("ENVELOPES") { 100 } else { 50 };
        assert_eq!(before, (1..=written).collect::<Vec<_>>());
    }
    let next = scene.ask(0, None).await;
    scene.until_current(next).await;
    let stored = if is_kept("EVENTS") { 100 } else { 50 };
    scene.has_notes(next, (1..=stored).chain(101..=last)).await;
    running.stop().await;
}

async fn answers(scene: &Scene) {
    eventually("NATS answers", BOUND, async || scene.state("EVENTS").await).await;
}

#[tokio::test]
async fn events_come_back_older() {
    for projector in [Projector::RunsOn, Projector::IsStartedAgain] {
        for last in [110, 300] {
            bring_back(&["EVENTS"], projector, last).await;
        }
    }
}

#[tokio::test]
async fn envelopes_come_back_older() {
    for projector in [Projector::RunsOn, Projector::IsStartedAgain] {
        bring_back(&["ENVELOPES"], projector, 110).await;
    }
}

#[tokio::test]
async fn events_and_envelopes_come_back_older() {
    for projector in [Projector::RunsOn, Projector::IsStartedAgain] {
        for last in [110, 300] {
            bring_back(&["EVENTS", "ENVELOPES"], projector, last).await;
        }
    }
}
