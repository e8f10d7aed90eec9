//! `max_rate`: between two writes, the newest envelope replaces earlier ones, and it is never lost.

use std::collections::BTreeMap;

use harness::{BOUND, eventually};
use serde_json::json;
use tidings_model::{Address, Tenant};
use tidings_streams::purge_address;

use crate::process::Process;
use crate::support::{Scene, Task, catalogs_of_all_progress, number, settings};

async fn progress(scene: &Scene, user: &str, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        scene.publish("job.progressed", &json!({ "n": n, "user": user, "job": "j" })).await;
    }
}

/// Writes progress 1; 2 to 9 are done, and 9 is held back.
async fn hold_back(scene: &Scene) {
    progress(scene, "u", [1]).await;
    scene.until_last_note_is(1).await;
    progress(scene, "u", 2..=9).await;
    scene.until_all_done().await;
    scene.has_written(1).await;
}

/// Progress 9 is written, as one of this many envelopes in total, and nothing follows it.
async fn written_once(scene: &Scene, altogether: u64) {
    scene.until_last_note_is(9).await;
    scene.publish_notes(100..=100).await;
    scene.until_last_note_is(100).await;
    scene.has_written(altogether + 1).await;
}

#[tokio::test]
async fn of_a_thousand_in_a_burst_the_first_and_the_newest_are_written() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    for n in 1..=1000_u64 {
        let data = json!({ "n": n, "user": "u", "gauge": "g" }).to_string();
        scene.context.publish("events.t.gauge.read", data.into()).await.unwrap();
    }
    scene.until_last_note_is(1000).await;
    scene.until_all_done().await;
    let envelopes = scene.envelopes().await;
    let numbers: Vec<_> = envelopes.iter().map(number).collect();
    assert_eq!(numbers.first(), Some(&1));
    assert!(numbers.is_sorted() && numbers.len() < 500, "{numbers:?}");
    projector.stop().await;
}

#[tokio::test]
async fn what_is_held_back_holds_nothing_else_back() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    hold_back(&scene).await;
    // Another job, another message, and the same job's completion, which follows all of its progress.
    scene.publish("job.progressed", &json!({ "n": 10, "user": "u", "job": "k" })).await;
    scene.publish_notes(11..=20).await;
    scene.publish("job.completed", &json!({ "n": 21, "user": "u", "job": "j" })).await;
    scene.until_last_note_is(21).await;
    progress(&scene, "v", [22, 23]).await;
    scene.until_last_note_is(23).await;
    scene.has_written(1 + 1 + 10 + 1 + 2).await;
    projector.stop().await;
}

#[tokio::test]
async fn a_projector_killed_while_it_holds_something_back_loses_nothing() {
    let scene = Scene::new().await;
    let projector = Process::start(&scene);
    hold_back(&scene).await;
    projector.kill().await;
    let projector = scene.projector().await;
    written_once(&scene, 2).await;
    projector.stop().await;
}

#[tokio::test]
async fn what_is_held_back_is_found_behind_what_was_written_meanwhile() {
    let scene = Scene::new().await;
    let projector = Process::start(&scene);
    hold_back(&scene).await;
    scene.publish_notes(11..=20).await;
    scene.until_last_note_is(20).await;
    projector.kill().await;
    // What was acknowledged is lost.
    scene.forget_consumer().await;
    let projector = Process::start(&scene);
    scene.until_last_note_is(9).await;
    projector.kill().await;
    scene.forget_consumer().await;
    // The last envelope is of an early event, and those of later events are not written again.
    let projector = scene.projector().await;
    written_once(&scene, 12).await;
    projector.stop().await;
}

#[tokio::test]
async fn a_planned_restart_leaves_it_to_the_successor() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    hold_back(&scene).await;
    projector.stop().await;
    scene.has_written(1).await;
    let projector = scene.projector().await;
    written_once(&scene, 2).await;
    projector.stop().await;
}

#[tokio::test]
async fn a_successor_that_limits_nothing_finds_it_too() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    hold_back(&scene).await;
    projector.stop().await;
    let projector = Task::start_with(scene.topology.clone(), settings(), catalogs_of_all_progress());
    written_once(&scene, 2).await;
    projector.stop().await;
}

/// A late envelope must not state that those after it were not written yet.
#[tokio::test]
async fn what_comes_late_at_the_start_makes_nothing_come_twice() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    hold_back(&scene).await;
    scene.publish_notes(11..=30).await;
    scene.until_last_note_is(30).await;
    projector.stop().await;
    // The next projectors read everything from the beginning, and the first of them finds that progress 9 is due.
    scene.forget_consumer().await;
    let projector = Task::start_with(scene.topology.clone(), settings(), catalogs_of_all_progress());
    scene.until_last_note_is(9).await;
    projector.stop().await;
    scene.forget_consumer().await;
    let projector = scene.projector().await;
    scene.publish_notes(31..=31).await;
    scene.until_last_note_is(31).await;
    scene.holds((11..=30).chain([9, 31])).await;
    projector.stop().await;
}

#[tokio::test]
async fn a_standby_takes_it_over_though_nothing_else_happens() {
    let scene = Scene::new().await;
    let active = Process::start(&scene);
    progress(&scene, "w", [1]).await;
    scene.until_last_note_is(1).await;
    let standby = scene.projector().await;
    progress(&scene, "u", [2]).await;
    scene.until_last_note_is(2).await;
    progress(&scene, "u", 3..=9).await;
    scene.until_all_done().await;
    active.kill().await;
    written_once(&scene, 3).await;
    standby.stop().await;
}

#[tokio::test]
async fn a_restart_of_nats_loses_nothing_that_is_held_back() {
    let mut scene = Scene::new().await;
    let projector = scene.projector().await;
    hold_back(&scene).await;
    scene.nats.kill().await.unwrap();
    scene.nats.restart().await.unwrap();
    written_once(&scene, 2).await;
    projector.stop().await;
}

#[tokio::test]
async fn nobody_is_told_after_being_removed() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    hold_back(&scene).await;
    let tenant = Tenant::parse("t").unwrap();
    let address = Address::parse("user:u").unwrap();
    assert_eq!(purge_address(&scene.topology, &tenant, &address).await.unwrap(), 1);
    // This one is due after the other one would have been.
    progress(&scene, "v", [21, 22]).await;
    scene.until_last_note_is(22).await;
    scene.holds([22]).await;
    projector.stop().await;
}

/// The newest envelope of each gauge is last, and none is written twice or behind a newer one.
#[tokio::test]
async fn killed_at_any_moment_it_writes_the_newest_once() {
    let scene = Scene::new().await;
    let mut last = BTreeMap::new();
    for kill in 1..=12_u64 {
        let projector = Process::start(&scene);
        for n in kill * 100..kill * 100 + 60 {
            let gauge = format!("g{}", n % 5);
            scene.publish("gauge.read", &json!({ "n": n, "user": "u", "gauge": gauge })).await;
            if n % 7 == 0 {
                scene.publish_notes(n..=n).await;
            }
            last.insert(gauge, n);
        }
        // Some are killed before they have started, and some when everything is done.
        if kill % 3 == 0 {
            scene.until_all_done().await;
        }
        projector.kill().await;
        if kill % 4 == 0 {
            scene.forget_consumer().await;
        }
    }
    let projector = scene.projector().await;
    let written = eventually("the newest of each gauge is written", 2 * BOUND, async || {
        let mut written: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for stored in scene.envelopes().await {
            if let Some(gauge) = stored.envelope.subject.key.clone() {
                written.entry(gauge).or_default().push(number(&stored));
            }
        }
        let newest = written.iter().map(|(gauge, numbers)| (gauge.clone(), numbers[numbers.len() - 1]));
        if newest.collect::<BTreeMap<_, _>>() == last { Ok(written) } else { Err(format!("{written:?}")) }
    })
    .await;
    scene.until_all_done().await;
    for numbers in written.values() {
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }
    projector.stop().await;
}
