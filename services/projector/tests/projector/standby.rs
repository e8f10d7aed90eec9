//! One projector is active; another takes over, and the first cannot write any more.

use harness::{BOUND, eventually};
use rustix::process::Signal;

use crate::support::{Process, Scene};

#[tokio::test]
async fn the_active_projector_killed_again_and_again_leaves_each_envelope_once() {
    let scene = Scene::new().await;
    let mut standby = Process::start(&scene);
    let mut published = 0;
    for _ in 0..4 {
        let active = standby;
        publish_until_written(&scene, &mut published).await;
        standby = Process::start(&scene);
        scene.publish_notes(published + 1..=published + 500).await;
        published += 500;
        active.kill().await;
    }
    scene.until_last_note_is(published).await;
    scene.holds(1..=published).await;
    standby.kill().await;
}

#[tokio::test]
async fn a_projector_stopped_and_continued_writes_nothing_out_of_place() {
    let scene = Scene::new().await;
    let pair = [Process::start(&scene), Process::start(&scene)];
    let mut published = 0;
    for _ in 0..3 {
        // Which of the two is active is the server's choice, so both have their turn.
        for index in [0, 1] {
            scene.publish_notes(published + 1..=published + 300).await;
            published += 300;
            pair[index].signal(Signal::STOP);
            publish_until_written(&scene, &mut published).await;
            pair[index].signal(Signal::CONT);
        }
    }
    scene.until_last_note_is(published).await;
    scene.holds(1..=published).await;
}

/// Publishes until one that was published here is written, so somebody is active.
async fn publish_until_written(scene: &Scene, published: &mut u64) {
    let before = scene.state("ENVELOPES").await.unwrap().0;
    let first = *published + 1;
    let mut last = *published;
    eventually("somebody writes", BOUND, async || {
        last += 1;
        scene.publish_notes(last..=last).await;
        let (written, _) = scene.state("ENVELOPES").await?;
        if written > before && written >= first { Ok(()) } else { Err(format!("{written} of {last}")) }
    })
    .await;
    *published = last;
}
