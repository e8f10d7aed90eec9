//! The follower returns every envelope once, in order, and reports a recreated stream.

use std::sync::atomic::Ordering;

use async_nats::connection::State;
use futures_util::TryStreamExt as _;
use harness::{FRESH, FlakyProxy, eventually, fresh_leader};
use tidings_model::{Epoch, Position};
use tidings_streams::{Content, EnvelopeFollower, EnvelopeWriter, Followed, Settings, Topology};
use time::{Duration, OffsetDateTime};

use crate::support::{SOON, Scene, envelope, latest, range, settings, store};

/// A follower from the end of the stream.
async fn from_now(scene: &Scene) -> EnvelopeFollower {
    let extent = scene.topology.extent().await.unwrap();
    let end = Position { epoch: extent.epoch, sequence: extent.last };
    EnvelopeFollower::after(&scene.topology, end, Content::Whole).await.unwrap()
}

/// The next result of the follower: the events' numbers, or the new epoch.
async fn next(follower: &mut EnvelopeFollower) -> Result<Vec<u64>, Epoch> {
    let next = tokio::time::timeout(SOON, follower.next()).await;
    match next.unwrap_or_else(|_| panic!("nothing came")) {
        Followed::Envelopes(envelopes) => {
            assert!(envelopes.last().unwrap().sequence <= follower.position().sequence);
            Ok(range(envelopes.iter().map(|stored| stored.envelope.origin.event.sequence)))
        }
        Followed::Purged(..) | Followed::Placed { .. } => panic!("nothing was purged or placed"),
        Followed::Renewed(epoch) => Err(epoch),
    }
}

/// Reads the numbers up to this one.
async fn until(follower: &mut EnvelopeFollower, last: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        numbers.extend(next(follower).await.unwrap());
    }
    numbers
}

#[tokio::test]
async fn it_begins_at_the_end_and_hands_out_all_that_follows() {
    let scene = Scene::new().await;
    scene.write(1..=5).await;
    let mut follower = from_now(&scene).await;
    let extent = scene.topology.extent().await.unwrap();
    assert_eq!((follower.position().sequence, follower.position().epoch), (5, extent.epoch));
    scene.write(6..=1200).await;
    assert_eq!(until(&mut follower, 1200).await, range(6..=1200));
}

/// A leader that was just elected or started may not know its end yet.
#[tokio::test]
async fn an_end_that_is_not_yet_known_is_no_roll_back() {
    let scene = Scene::new().await;
    scene.write(1..=5).await;
    let fresh = fresh_leader(scene.nats.client().await).await;
    let settings = Settings { api_prefix: FRESH.to_owned(), ..settings() };
    let topology = Topology::ensure(&scene.nats.client().await, &settings).await.unwrap();
    let extent = topology.extent().await.unwrap();
    fresh.store(2, Ordering::Relaxed);
    assert_eq!(topology.extent_reaching(5).await.unwrap(), extent);
    fresh.store(2, Ordering::Relaxed);
    let end = Position { epoch: extent.epoch, sequence: extent.last };
    let mut follower = EnvelopeFollower::after(&topology, end, Content::Whole).await.unwrap();
    scene.write(6..=7).await;
    assert_eq!(until(&mut follower, 7).await, [6, 7]);
    assert_eq!(fresh.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_server_killed_while_reading_changes_nothing() {
    let mut scene = Scene::new().await;
    let mut follower = from_now(&scene).await;
    for first in [1, 41, 81] {
        scene.write(first..first + 20).await;
        let mut seen = next(&mut follower).await.unwrap();
        scene.crash().await;
        scene.write(first + 20..first + 40).await;
        seen.extend(until(&mut follower, first + 39).await);
        assert_eq!(seen, range(first..first + 40));
    }
}

/// No later envelope follows that would show that one is missing, and the consumer has delivered it.
#[tokio::test]
async fn an_envelope_that_was_lost_with_the_connection_comes_over_the_next_one() {
    let scene = Scene::new().await;
    let cable = FlakyProxy::to(scene.nats.url()).await;
    let client = async_nats::connect(cable.url()).await.unwrap();
    let topology = Topology::ensure(&client, &settings()).await.unwrap();
    let extent = topology.extent().await.unwrap();
    let end = Position { epoch: extent.epoch, sequence: extent.last };
    let mut follower = EnvelopeFollower::after(&topology, end, Content::Whole).await.unwrap();
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    store(&mut writer, &envelope(1)).await;
    assert_eq!(next(&mut follower).await.unwrap(), [1]);
    for n in 2..=5 {
        cable.silence();
        store(&mut writer, &envelope(n)).await;
        eventually("it is delivered", SOON, async || {
            let consumers: Vec<_> = scene.stream("ENVELOPES").await.consumers().try_collect().await.unwrap();
            let delivered = consumers.iter().map(|info| info.delivered.stream_sequence).max();
            let last = scene.state("ENVELOPES").await.last_sequence;
            if delivered == Some(last) { Ok(()) } else { Err(format!("{delivered:?} of {last}")) }
        })
        .await;
        cable.pull();
        eventually("the connection is broken", SOON, async || match client.connection_state() {
            State::Connected => Err("it is not".to_owned()),
            _ => Ok(()),
        })
        .await;
        cable.plug();
        assert_eq!(next(&mut follower).await.unwrap(), [n]);
    }
}

#[tokio::test]
async fn a_consumer_deleted_while_reading_changes_nothing() {
    let scene = Scene::new().await;
    let mut follower = from_now(&scene).await;
    for first in [1, 21, 41] {
        scene.write(first..first + 10).await;
        let mut seen = next(&mut follower).await.unwrap();
        let stream = scene.stream("ENVELOPES").await;
        let names: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
        for name in names {
            stream.delete_consumer(&name).await.unwrap();
        }
        scene.write(first + 10..first + 20).await;
        seen.extend(until(&mut follower, first + 19).await);
        assert_eq!(seen, range(first..first + 20));
    }
}

#[tokio::test]
async fn what_was_removed_is_passed_over() {
    let mut scene = Scene::new().await;
    let mut follower = from_now(&scene).await;
    scene.write(1..=10).await;
    assert_eq!(until(&mut follower, 10).await, range(1..=10));

    // The follower has to open a new consumer, while many of its unread envelopes have been removed.
    scene.crash().await;
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    for n in 11..=30 {
        let now = OffsetDateTime::now_utc();
        let mut envelope = if n % 3 == 0 { latest(n, "k") } else { envelope(n) };
        envelope.expires_at = (n % 3 == 1).then_some(now + Duration::SECOND);
        store(&mut writer, &envelope).await;
    }
    scene.stream("ENVELOPES").await.purge().filter("envelopes.t.durable.>").sequence(20).await.unwrap();
    scene.write(31..=31).await;
    let seen = until(&mut follower, 31).await;
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    let lasting = [20, 23, 26, 29, 30, 31];
    assert!(lasting.iter().all(|n| seen.contains(n)), "{seen:?}");
}

#[tokio::test]
async fn a_message_that_no_projector_wrote_is_passed_over() {
    let scene = Scene::new().await;
    let mut follower = from_now(&scene).await;
    scene.write(1..=1).await;
    scene.context.publish("envelopes.by.hand", "".into()).await.unwrap().await.unwrap();
    scene.write(2..=2).await;
    assert_eq!(until(&mut follower, 2).await, [1, 2]);
    assert_eq!(follower.position().sequence, scene.state("ENVELOPES").await.last_sequence);
}

#[tokio::test]
async fn a_stream_made_anew_is_reported_once_and_read_from_its_beginning() {
    let scene = Scene::new().await;
    let mut follower = from_now(&scene).await;
    scene.write(1..=10).await;
    assert_eq!(until(&mut follower, 10).await, range(1..=10));
    let before = follower.position().epoch;
    scene.nats.renew("ENVELOPES").await;
    scene.write(11..=13).await;
    let renewed = next(&mut follower).await.unwrap_err();
    assert_ne!(renewed, before);
    assert_eq!(renewed, follower.position().epoch);
    assert_eq!(until(&mut follower, 13).await, [11, 12, 13]);
    assert_eq!(follower.position().sequence, 3);
}

#[tokio::test]
async fn nothing_is_lost_however_often_the_wait_is_dropped() {
    let mut scene = Scene::new().await;
    let mut follower = from_now(&scene).await;
    let mut seen = Vec::new();
    let mut renewals = Vec::new();
    for round in 0..3 {
        if round == 1 {
            scene.crash().await;
        }
        if round == 2 {
            scene.nats.renew("ENVELOPES").await;
        }
        let last = round * 100 + 100;
        scene.write(last - 99..=last).await;
        // The wait is dropped and repeated after one poll, or after several.
        let all = async {
            let mut patience = (0..20).map(|n| std::time::Duration::from_millis(n * n)).cycle();
            while seen.last() != Some(&last) {
                match tokio::time::timeout(patience.next().unwrap(), follower.next()).await {
                    Ok(Followed::Envelopes(envelopes)) => {
                        seen.extend(envelopes.iter().map(|stored| stored.envelope.origin.event.sequence));
                    }
                    Ok(Followed::Purged(..) | Followed::Placed { .. }) => {
                        panic!("nothing was purged or placed")
                    }
                    Ok(Followed::Renewed(epoch)) => renewals.push(epoch),
                    Err(_) => {}
                }
            }
        };
        tokio::time::timeout(SOON, all).await.unwrap_or_else(|_| panic!("not all came in round {round}"));
    }
    assert_eq!(seen, range(1..=300));
    assert_eq!(renewals, [follower.position().epoch]);
}

/// A restored backup, or a power failure without `sync_interval: always`; also if the stream has grown past its former
/// end before the reader reconnects.
#[tokio::test]
async fn a_stream_that_came_back_with_less_is_read_from_its_beginning() {
    for grown_to in [12_u64, 40] {
        let mut scene = Scene::new().await;
        let mut follower = from_now(&scene).await;
        scene.write(1..=5).await;
        assert_eq!(until(&mut follower, 5).await, range(1..=5));
        scene.nats.kill().await.unwrap();
        let (store, saved) = (scene.nats.folder().join("jetstream"), scene.nats.folder().join("saved"));
        copy(&store, &saved);
        scene.restart().await;
        scene.write(6..=15).await;
        assert_eq!(until(&mut follower, 15).await, range(6..=15));
        scene.nats.kill().await.unwrap();
        std::fs::remove_dir_all(&store).unwrap();
        std::fs::rename(&saved, &store).unwrap();
        scene.restart().await;
        // The follower does not read meanwhile.
        scene.write(16..16 + grown_to).await;
        let epoch = scene.topology.extent().await.unwrap().epoch;
        let mut renewed = 0;
        let mut seen = Vec::new();
        while seen.last() != Some(&(15 + grown_to)) {
            match next(&mut follower).await {
                Ok(numbers) => seen.extend(numbers),
                Err(found) => {
                    assert_eq!(found, epoch);
                    renewed += 1;
                    seen.clear();
                }
            }
        }
        assert_eq!((renewed, seen), (1, range((1..=5).chain(16..16 + grown_to))), "{grown_to}");
    }
}

/// Its place shows nothing, but what was stored before that place is younger.
#[tokio::test]
async fn a_roll_back_is_noticed_although_what_was_read_last_is_gone() {
    let mut scene = Scene::new().await;
    let mut follower = from_now(&scene).await;
    scene.write(1..=5).await;
    let saved = scene.save(&["ENVELOPES"]).await;
    scene.write(6..=15).await;
    assert_eq!(until(&mut follower, 15).await, range(1..=15));
    let read_at = OffsetDateTime::now_utc();
    scene.bring_back(saved).await;
    // Clocks of servers may differ by a second.
    eventually("what follows is younger", SOON, async || match OffsetDateTime::now_utc() - read_at {
        passed if passed > Duration::milliseconds(1_100) => Ok(()),
        passed => Err(passed),
    })
    .await;
    scene.write(16..=24).await;
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    assert_eq!(store(&mut writer, &latest(25, "k")).await, 15, "where the last one was read");
    store(&mut writer, &latest(26, "k")).await;
    let epoch = scene.topology.extent().await.unwrap().epoch;
    assert_eq!(next(&mut follower).await, Err(epoch));
    assert_eq!(until(&mut follower, 26).await, range((1..=5).chain(16..=24).chain([26])));
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
