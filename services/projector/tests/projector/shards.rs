//! Tenants spread over shards: one shard writes each tenant, and a move takes all envelopes along.

use harness::{BOUND, eventually};
use serde_json::json;
use tidings_model::{ShardNumber, Tenant};
use tidings_projector::Settings;
use tidings_streams::{Topology, last_notice};
use time::OffsetDateTime;

use crate::places::{Load, place, tenant};
use crate::process::Process;
use crate::support::{Scene, Task, catalogs, catalogs_of, settings};

async fn start(scene: &Scene, shard: u16, configured: &[(&str, u16)]) -> Task {
    let tenant = |name: &str| Tenant::parse(name).unwrap();
    let shards = configured.iter().map(|(name, shard)| (tenant(name), ShardNumber(*shard))).collect();
    let settings = Settings { shard: ShardNumber(shard), shards, ..settings() };
    Task::start_with(scene.own_topology().await, settings, catalogs_of(&["t", "u"]))
}

async fn publish(scene: &Scene, tenant: &str, n: u64) {
    let subject = format!("events.{tenant}.note.added");
    let sent =
        scene.context.publish(subject, json!({ "n": n, "user": "x" }).to_string().into()).await.unwrap();
    sent.await.unwrap();
}

async fn until_done(scene: &Scene, shard: u16) {
    let consumer = ShardNumber(shard).name("projector");
    eventually(&format!("shard {shard} is done"), 2 * BOUND, async || {
        let (last, _) = scene.state("EVENTS").await?;
        let events = scene.context.get_stream("EVENTS").await.map_err(|error| error.to_string())?;
        let info = events.consumer_info(&consumer).await.map_err(|error| error.to_string())?;
        let done = info.ack_floor.stream_sequence;
        if done == last { Ok(()) } else { Err(format!("{done} of {last}")) }
    })
    .await;
}

async fn subjects(topology: &Topology) -> Vec<String> {
    let stream = async_nats::jetstream::new(topology.client())
        .get_stream(topology.shard().name("ENVELOPES"))
        .await
        .unwrap();
    let mut subjects = Vec::new();
    let info = stream.info_with_subjects(">").await.unwrap();
    let all: Vec<_> = futures_util::TryStreamExt::try_collect(info).await.unwrap();
    subjects.extend(all.into_iter().map(|(subject, _): (String, usize)| subject));
    subjects
}

#[tokio::test]
async fn no_shard_writes_what_another_one_does() {
    let scene = Scene::new().await;
    let configured = [("u", 1)];
    let projectors = [start(&scene, 0, &configured).await, start(&scene, 1, &configured).await];
    for n in 1..=50 {
        publish(&scene, "t", n).await;
        publish(&scene, "u", n).await;
        // Not placed: shard 0 writes tenants without a placement.
        publish(&scene, "nobody", n).await;
    }
    for shard in [0, 1] {
        until_done(&scene, shard).await;
    }
    let second = scene.topology.on(ShardNumber(1)).await.unwrap();
    assert_eq!(subjects(&scene.topology).await, ["envelopes.t.durable.user.x.note.-"]);
    assert_eq!(subjects(&second).await, ["envelopes_1.u.durable.user.x.note.-"]);
    assert_eq!(scene.state("REJECTED").await.unwrap(), (50, 50));
    for projector in projectors {
        projector.stop().await;
    }
    // The placement is recorded now, and no configuration moves a tenant.
    let projectors = [start(&scene, 0, &[]).await, start(&scene, 1, &[("t", 1)]).await];
    publish(&scene, "t", 51).await;
    publish(&scene, "u", 51).await;
    for shard in [0, 1] {
        until_done(&scene, shard).await;
    }
    for topology in [&scene.topology, &second] {
        assert_eq!(topology.extent().await.unwrap().last, 51);
    }
    for projector in projectors {
        projector.stop().await;
    }
}

#[tokio::test]
async fn a_tenant_moves_and_comes_back_under_load() {
    let scene = Scene::new().await;
    let projectors = [scene.projector_of(0).await, scene.projector_of(1).await];
    scene.publish_notes(1..=1_000).await;
    let load = Load::start(&scene, 1_001);
    for (shard, generation) in [(1, 1), (0, 2)] {
        let next = scene.ask(shard, Some(OffsetDateTime::now_utc())).await;
        assert_eq!(next, place(shard, generation));
        scene.until_current(next).await;
        until_said(&scene, 1 - shard, next).await;
    }
    let last = load.stop().await;
    scene.until_last_note_is(last).await;
    scene.has_notes(place(0, 2), 1..=last).await;
    let seconds = scene.numbers_at(place(1, 1)).await;
    assert!(seconds.iter().copied().eq(1..=seconds.len() as u64), "each once and in order");
    let firsts = scene.numbers_at(place(0, 0)).await;
    assert!(firsts.iter().copied().eq(1..=firsts.len() as u64), "each once and in order");
    for projector in projectors {
        projector.stop().await;
    }
}

/// Waits until the notice in a shard's stream names this place.
async fn until_said(scene: &Scene, shard: u16, expected: tidings_model::Place) {
    let topology = scene.topology.on(ShardNumber(shard)).await.unwrap();
    eventually(&format!("shard {shard} says {expected}"), 2 * BOUND, async || {
        let said = last_notice(&topology, &tenant()).await.map_err(|error| error.to_string())?;
        if said.is_some_and(|(place, _)| place == expected) { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_shard_that_was_down_says_later_who_has_left() {
    let scene = Scene::new().await;
    let old = scene.projector_of(0).await;
    let new = scene.projector_of(1).await;
    scene.publish_notes(1..=100).await;
    scene.until_last_note_is(100).await;
    old.stop().await;
    let next = scene.ask(1, Some(OffsetDateTime::now_utc())).await;
    scene.until_current(next).await;
    scene.publish_notes(101..=120).await;
    until_done(&scene, 1).await;
    let old = Task::start_with(scene.own_topology().await, settings(), catalogs());
    until_said(&scene, 0, next).await;
    until_done(&scene, 0).await;
    scene.has_notes(place(0, 0), 1..=100).await;
    scene.has_notes(next, 1..=120).await;
    old.stop().await;
    new.stop().await;
}

#[tokio::test]
async fn killed_at_any_moment_a_move_takes_everything_along() {
    let scene = Scene::new().await;
    let old = scene.projector_of(0).await;
    scene.publish_notes(1..=3_000).await;
    let load = Load::start(&scene, 3_001);
    let next = scene.ask(1, Some(OffsetDateTime::now_utc())).await;
    let second = scene.topology.on(ShardNumber(1)).await.unwrap();
    for kill in 0..5_u64 {
        let new = Process::start_of(&scene, 1);
        let goal = second.extent().await.unwrap().last + 1 + fastrand::u64(..800) * (kill % 3);
        eventually("it has written something", 2 * BOUND, async || {
            let written = second.extent().await.map_err(|error| error.to_string())?.last;
            let is_over = scene.placement().await.next.is_none();
            if written >= goal || is_over { Ok(()) } else { Err(format!("{written} of {goal}")) }
        })
        .await;
        new.kill().await;
    }
    let new = scene.projector_of(1).await;
    scene.until_current(next).await;
    let last = load.stop().await;
    until_done(&scene, 1).await;
    scene.has_notes(next, 1..=last).await;
    old.stop().await;
    new.stop().await;
}
