//! Rebuilds beside live projecting: each envelope once and in order, and one switch.

use std::time::Duration;

use harness::{BOUND, eventually};
use serde_json::json;
use tidings_model::{Address, Placement};
use tidings_streams::{StoredEnvelope, last_notice, purge_address};
use time::OffsetDateTime;

use crate::places::{Load, place, tenant};
use crate::process::Process;
use crate::support::{Scene, Task, catalogs_that_say, number, settings};

/// The envelopes of a generation that became current under load, where notes 1 to `last` were published.
async fn changed_over_once(scene: &Scene, placement: &Placement, last: u64) {
    let (current, since) = (placement.current.place, placement.current.since.unwrap());
    scene.has_notes(current, 1..=last).await;
    let former = placement.former.last().unwrap().place;
    let before = scene.at(former).await;
    let until = before.last().unwrap();
    assert!(until.sequence < since.sequence, "nothing of the old generation behind the notice");
    scene.has_notes(former, 1..=number(until)).await;
    let behind = scene.at(current).await.into_iter().find(|stored| stored.sequence > since.sequence);
    assert_eq!(behind.map(|stored| number(&stored)), (number(until) < last).then(|| number(until) + 1));
    assert_eq!(last_notice(&scene.topology, &tenant()).await.unwrap(), Some((current, since)));
}

#[tokio::test]
async fn a_generation_is_made_under_load_and_becomes_current_once() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=3_000).await;
    let load = Load::start(&scene, 3_001);
    let mut placement = Placement::default();
    for generation in 1..=2 {
        assert_eq!(scene.ask(0, None).await, place(0, generation));
        placement = scene.until_current(place(0, generation)).await;
    }
    let last = load.stop().await;
    scene.until_last_note_is(last).await;
    changed_over_once(&scene, &placement, last).await;
    assert_eq!(placement.former.len(), 2);
    projector.stop().await;
}

#[tokio::test]
async fn nothing_need_happen_for_it_to_happen() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=20).await;
    scene.until_all_done().await;
    projector.stop().await;
    // No event reaches these; one of them detects that no projector is active.
    let projectors = [scene.projector().await, scene.projector().await];
    let next = scene.ask(0, None).await;
    scene.until_current(next).await;
    scene.has_notes(next, 1..=20).await;
    for projector in projectors {
        projector.stop().await;
    }
}

#[tokio::test]
async fn it_is_the_current_catalog_that_counts() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=50).await;
    scene.publish("note.added", &json!({ "n": 51 })).await;
    scene.publish("beat.measured", &json!({ "n": 52, "user": "u" })).await;
    scene.publish("job.progressed", &json!({ "n": 53, "user": "u", "job": "j" })).await;
    scene.publish("job.completed", &json!({ "n": 54, "user": "u", "job": "j" })).await;
    scene.until_all_done().await;
    projector.stop().await;
    let catalogs = catalogs_that_say("{ n = \"{data.n}\", again = \"yes\" }");
    let projector = Task::start_with(scene.own_topology().await, settings(), catalogs);
    let next = scene.ask(0, None).await;
    scene.until_current(next).await;
    let notes = scene.at(next).await;
    let bodies: Vec<_> = notes.iter().map(|stored| String::from_utf8_lossy(&stored.envelope.body)).collect();
    let expected = (1..=50).map(|n| format!(r#"{{"n":{n},"again":"yes"}}"#));
    assert_eq!(bodies, expected.chain([r#"{"n":54}"#.to_owned()]).collect::<Vec<_>>());
    // A rejected event is counted, and its rejection is unchanged.
    assert_eq!(scene.state("REJECTED").await.unwrap(), (1, 1));
    projector.stop().await;
}

#[tokio::test]
async fn before_since_nothing_is_made_but_all_is_kept() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=30).await;
    scene.until_all_done().await;
    projector.stop().await;
    // Times are whole seconds: the next one begins between the two.
    let next_second = OffsetDateTime::now_utc().unix_timestamp() + 1;
    eventually("a second begins", BOUND, async || {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        if now >= next_second { Ok(()) } else { Err(format!("it is {now}")) }
    })
    .await;
    let catalogs = catalogs_that_say("{ n = \"{data.n}\", again = \"yes\" }");
    let projector = Task::start_with(scene.own_topology().await, settings(), catalogs.clone());
    scene.publish_notes(31..=60).await;
    scene.until_all_done().await;
    let since = OffsetDateTime::from_unix_timestamp(next_second).unwrap();
    // A rebuild starts earlier by the longest `max_rate` of the catalog.
    let next = scene.ask(0, Some(since + Duration::from_secs(10))).await;
    scene.until_current(next).await;
    let made_anew =
        |stored: &StoredEnvelope| String::from_utf8_lossy(&stored.envelope.body).contains("again");
    let all = scene.at(next).await;
    assert_eq!(all.iter().map(number).collect::<Vec<_>>(), (1..=60).collect::<Vec<_>>());
    assert_eq!(all.iter().position(made_anew), Some(30));
    projector.stop().await;
}

#[tokio::test]
async fn what_events_do_not_retain_is_copied() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=200).await;
    // Held back, and so stored behind newer ones; a copy is in order.
    scene.publish("gauge.read", &json!({ "n": 201, "user": "u", "gauge": "g" })).await;
    for n in [202, 203] {
        scene.publish("job.progressed", &json!({ "n": n, "user": "u", "job": "j" })).await;
    }
    scene.publish_notes(204..=300).await;
    scene.until_last_note_is(203).await;
    let events = scene.context.get_stream("EVENTS").await.unwrap();
    events.purge().sequence(251).await.unwrap();
    let mut kept = scene.ends(&scene.at(place(0, 0)).await).await;
    // The second time, all are copies of copies.
    for _ in 0..2 {
        let next = scene.ask(0, None).await;
        scene.until_current(next).await;
        scene.has_notes(next, (1..=200).chain([203]).chain(204..=300)).await;
        let ends = scene.ends(&scene.at(next).await).await;
        // Times are whole seconds.
        let is_prolonged = |(n, end): (&u64, &OffsetDateTime)| *end > kept[n] + Duration::from_secs(2);
        assert!(!ends.iter().any(is_prolonged), "a rebuild does not prolong expiry");
        kept = ends;
        events.purge().await.unwrap();
    }
    projector.stop().await;
}

#[tokio::test]
async fn what_is_held_back_is_written_before_the_notice() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    for n in 1..=9 {
        scene.publish("job.progressed", &json!({ "n": n, "user": "u", "job": "j" })).await;
    }
    scene.until_all_done().await;
    let next = scene.ask(0, None).await;
    scene.until_current(next).await;
    scene.has_notes(place(0, 0), [9]).await;
    scene.has_notes(next, [9]).await;
    scene.publish_notes(10..=10).await;
    scene.until_last_note_is(10).await;
    scene.has_notes(next, [9, 10]).await;
    projector.stop().await;
}

#[tokio::test]
async fn killed_at_any_moment_it_makes_each_once() {
    let scene = Scene::new().await;
    scene.publish_notes(1..=4_000).await;
    let first = scene.projector().await;
    scene.until_last_note_is(4_000).await;
    first.stop().await;
    let load = Load::start(&scene, 4_001);
    let next = scene.ask(0, None).await;
    for kill in 0..6_u64 {
        let projector = Process::start(&scene);
        let goal = scene.state("ENVELOPES").await.unwrap().0 + 1 + fastrand::u64(..900) * (kill % 3);
        eventually("it has written something", 2 * BOUND, async || {
            let written = scene.state("ENVELOPES").await?.0;
            let is_over = scene.placement().await.next.is_none();
            if written >= goal || is_over { Ok(()) } else { Err(format!("{written} of {goal}")) }
        })
        .await;
        projector.kill().await;
    }
    let projector = scene.projector().await;
    let placement = scene.until_current(next).await;
    let last = load.stop().await;
    scene.until_last_note_is(last).await;
    changed_over_once(&scene, &placement, last).await;
    projector.stop().await;
}

#[tokio::test]
async fn a_standby_goes_on_with_it() {
    let scene = Scene::new().await;
    let active = Process::start(&scene);
    let mut published = 0;
    scene.publish_until_written(&mut published, BOUND).await;
    let standby = Process::start(&scene);
    scene.publish_notes(published + 1..=published + 4_000).await;
    let load = Load::start(&scene, published + 4_001);
    let next = scene.ask(0, None).await;
    scene.until_there_are(100, next).await;
    active.kill().await;
    let placement = scene.until_current(next).await;
    let last = load.stop().await;
    scene.until_last_note_is(last).await;
    changed_over_once(&scene, &placement, last).await;
    standby.kill().await;
}

#[tokio::test]
async fn a_restart_of_nats_interrupts_it() {
    let mut scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=4_000).await;
    let next = scene.ask(0, None).await;
    scene.until_there_are(100, next).await;
    scene.nats.kill().await.unwrap();
    scene.nats.restart().await.unwrap();
    let placement = eventually("it is current", 4 * BOUND, async || {
        let placement = scene.topology.placements().load(&tenant()).await;
        let placement = placement.map_err(|error| error.to_string())?;
        if placement.current.place == next { Ok(placement) } else { Err(format!("{placement:?}")) }
    })
    .await;
    scene.publish_notes(4_001..=4_002).await;
    scene.until_last_note_is(4_002).await;
    changed_over_once(&scene, &placement, 4_002).await;
    projector.stop().await;
}

#[tokio::test]
async fn what_nobody_wants_any_more_is_removed() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=4_000).await;
    scene.publish_notes(4_001..=8_000).await;
    let load = Load::start(&scene, 8_001);
    for _ in 0..3 {
        let next = scene.ask(0, None).await;
        assert_eq!(next, place(0, 1), "nothing became current");
        scene.until_there_are(1, next).await;
        scene.take_back().await;
        eventually("it is gone", BOUND, async || {
            let left = scene.at(next).await.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
        })
        .await;
    }
    let next = scene.ask(0, None).await;
    let placement = scene.until_current(next).await;
    let last = load.stop().await;
    scene.until_last_note_is(last).await;
    changed_over_once(&scene, &placement, last).await;
    projector.stop().await;
}

/// Envelopes of a cancelled rebuild must not be taken for a part of the next one.
#[tokio::test]
async fn what_was_given_up_while_nobody_saw_it_is_removed_by_the_next() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=4_000).await;
    scene.publish_notes(4_001..=8_000).await;
    let next = scene.ask(0, None).await;
    scene.until_there_are(10, next).await;
    projector.stop().await;
    let left = scene.at(next).await.len();
    assert!((10..8_000).contains(&left), "it was given up in between: {left}");
    scene.take_back().await;
    assert_eq!(scene.ask(0, None).await, next);
    let catalogs = catalogs_that_say("{ n = \"{data.n}\", again = \"yes\" }");
    let projector = Task::start_with(scene.own_topology().await, settings(), catalogs);
    scene.until_current(next).await;
    let all = scene.at(next).await;
    assert_eq!(all.iter().map(number).collect::<Vec<_>>(), (1..=8_000).collect::<Vec<_>>());
    let made_anew =
        all.iter().filter(|stored| String::from_utf8_lossy(&stored.envelope.body).contains("again"));
    assert_eq!(made_anew.count(), 8_000);
    projector.stop().await;
}

#[tokio::test]
async fn nobody_is_told_again_after_being_removed() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=4_000).await;
    let address = |user: &str| Address::new("user", user).unwrap();
    scene.until_all_done().await;
    purge_address(&scene.topology, &tenant(), &address("u1")).await.unwrap();
    let load = Load::start(&scene, 4_001);
    let next = scene.ask(0, None).await;
    for user in ["u2", "u3", "u4"] {
        scene.until_there_are(50, next).await;
        purge_address(&scene.topology, &tenant(), &address(user)).await.unwrap();
    }
    scene.until_current(next).await;
    let last = load.stop().await;
    scene.until_last_note_is(last).await;
    let found = scene.at(next).await;
    for (user, until) in [("u1", 4_000), ("u2", 4_000), ("u3", 4_000), ("u4", 4_000)] {
        let of_user = found.iter().filter(|stored| stored.envelope.subject.address == address(user));
        let first = of_user.map(number).min();
        assert!(first.is_none_or(|first| first > until), "{user} has {first:?}");
    }
    let expected = (1..=last).filter(|n| ![1, 2, 3, 4].contains(&(n % 7)));
    let others = found.iter().map(number).filter(|n| ![1, 2, 3, 4].contains(&(n % 7)));
    assert!(others.eq(expected), "all others have everything");
    projector.stop().await;
}

/// Messages that Tidings or other programs have put between the envelopes are neither rebuilt nor copied.
#[tokio::test]
async fn notices_and_foreign_messages_are_passed_over() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish_notes(1..=100).await;
    scene.until_all_done().await;
    let nobody = Address::new("user", "nobody").unwrap();
    for generation in 1..=3 {
        // Tidings' notices: of the purge here, and of the generation that became current before.
        purge_address(&scene.topology, &tenant(), &nobody).await.unwrap();
        let name = tenant();
        for subject in [
            format!("envelopes.{name}.durable.user.u1.note.-"),
            format!("places.{name}"),
            format!("purges.{name}.user.u1"),
        ] {
            for payload in ["", "{}", "{\"n\":1}"] {
                let stored = scene.context.publish(subject.clone(), payload.into()).await.unwrap();
                stored.await.unwrap();
            }
        }
        let events = scene.context.get_stream("EVENTS").await.unwrap();
        // Events that are no longer retained are copied, the rest is projected.
        events.purge().sequence(generation * 20).await.unwrap();
        let next = scene.ask(0, None).await;
        assert_eq!(next, place(0, u32::try_from(generation).unwrap()));
        let placement = scene.until_current(next).await;
        scene.has_notes(next, 1..=100).await;
        assert_eq!(placement.former.len(), usize::try_from(generation).unwrap());
    }
    projector.stop().await;
}

#[tokio::test]
async fn an_event_that_came_again_is_made_once() {
    let scene = Scene::on(harness::nats().await, Duration::from_secs(60)).await;
    let projector = Task::start(scene.topology.clone(), settings());
    for n in [1, 1, 2, 2] {
        let id = [("ce-specversion", "1.0"), ("ce-source", "s"), ("ce-type", "note.added")];
        let headers: Vec<_> = id.into_iter().chain([("ce-id", if n == 1 { "one" } else { "two" })]).collect();
        scene.publish_with("note.added", &headers, &json!({ "n": n, "user": "u" })).await;
    }
    scene.until_all_done().await;
    scene.has_notes(place(0, 0), [1, 2]).await;
    let next = scene.ask(0, None).await;
    scene.until_current(next).await;
    scene.has_notes(next, [1, 2]).await;
    projector.stop().await;
}
