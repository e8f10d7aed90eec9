//! The reader returns every event once, in order, even if the consumer delivers it twice, late or never.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{BOUND, eventually};
use tidings_streams::{EventReader, Pace, ReadEvent, Topology};

use crate::support::{SOON, Scene, range};

const PACE: Pace = Pace { max_ahead: 64 };

async fn open(topology: &Topology) -> EventReader {
    EventReader::open(topology, "reader", PACE).await.unwrap()
}

fn number(read: &ReadEvent) -> u64 {
    std::str::from_utf8(&read.event.payload).unwrap().parse().unwrap()
}

/// Reads the next `count` events without acknowledging them.
async fn read(reader: &mut EventReader, count: usize) -> Vec<ReadEvent> {
    let mut events = Vec::new();
    while events.len() < count {
        let next = tokio::time::timeout(SOON, reader.next()).await;
        let so_far = events.len();
        events.push(next.unwrap_or_else(|_| panic!("{so_far} of {count} events came")));
    }
    events
}

async fn numbers(reader: &mut EventReader, count: usize) -> Vec<u64> {
    read(reader, count).await.iter().map(number).collect()
}

async fn acknowledge(reader: &mut EventReader, events: impl IntoIterator<Item = ReadEvent>) {
    for event in events {
        reader.done(event);
    }
    reader.acknowledge().await;
}

/// Waits until the server knows that everything up to this sequence is done.
async fn until_done(scene: &Scene, sequence: u64) {
    eventually("the acknowledgements arrive", BOUND, async || {
        let events = scene.stream("EVENTS").await;
        let info = events.consumer_info("reader").await.map_err(|error| error.to_string())?;
        let done = info.ack_floor.stream_sequence;
        if done == sequence { Ok(()) } else { Err(done.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn what_is_delivered_again_is_handed_out_once() {
    let scene = Scene::new().await;
    scene.publish(1..=10).await;
    let mut reader = open(&scene.topology).await;
    let events = read(&mut reader, 10).await;
    // Nothing is acknowledged, so everything is delivered again, which the server counts.
    let mut next = Box::pin(reader.next());
    eventually("the server delivers again", BOUND, async || {
        assert!(
            tokio::time::timeout(Duration::from_millis(1), &mut next).await.is_err(),
            "an event came twice"
        );
        let events = scene.stream("EVENTS").await;
        let info = events.consumer_info("reader").await.map_err(|error| error.to_string())?;
        if info.num_redelivered == 10 { Ok(()) } else { Err(info.num_redelivered.to_string()) }
    })
    .await;
    scene.publish([11]).await;
    assert_eq!(number(&tokio::time::timeout(SOON, next).await.unwrap()), 11);
    acknowledge(&mut reader, events).await;
    until_done(&scene, 10).await;
}

#[tokio::test]
async fn an_acknowledged_event_stays_done_when_it_is_opened_again() {
    let scene = Scene::new().await;
    scene.publish(1..=10).await;
    let mut reader = open(&scene.topology).await;
    let events = read(&mut reader, 7).await;
    acknowledge(&mut reader, events.into_iter().take(4)).await;
    until_done(&scene, 4).await;
    drop(reader);
    // The other events were delivered to a reader that is gone; they arrive in order, before new ones.
    let mut reader = open(&scene.topology).await;
    scene.publish([11]).await;
    assert_eq!(numbers(&mut reader, 7).await, range(5..=11));
}

#[tokio::test]
async fn a_consumer_deleted_while_reading_changes_nothing() {
    let scene = Scene::new().await;
    scene.publish(1..=20).await;
    let mut reader = open(&scene.topology).await;
    assert_eq!(numbers(&mut reader, 10).await, range(1..=10));
    scene.stream("EVENTS").await.delete_consumer("reader").await.unwrap();
    scene.publish(21..=30).await;
    assert_eq!(numbers(&mut reader, 20).await, range(11..=30));
}

#[tokio::test]
async fn a_server_killed_while_reading_changes_nothing() {
    let mut scene = Scene::new().await;
    let mut reader = open(&scene.topology).await;
    for first in [1, 31, 61] {
        scene.publish(first..first + 30).await;
        assert_eq!(numbers(&mut reader, 15).await, range(first..first + 15));
        scene.crash().await;
        assert_eq!(numbers(&mut reader, 15).await, range(first + 15..first + 30));
    }
}

#[tokio::test]
async fn holes_in_the_stream_are_passed_over() {
    let scene = Scene::new().await;
    scene.publish(1..=30).await;
    let events = scene.stream("EVENTS").await;
    let removed = [1, 2, 9, 15, 16, 17, 30];
    for sequence in removed {
        events.delete_message(sequence).await.unwrap();
    }
    let mut reader = open(&scene.topology).await;
    let left = range((1..=29).filter(|n| !removed.contains(n)));
    let (first, second) = left.split_at(6);
    assert_eq!(numbers(&mut reader, first.len()).await, first);
    // Some of these have been delivered already, some not.
    for sequence in [10, 11, 12] {
        events.delete_message(sequence).await.unwrap();
    }
    scene.publish([31]).await;
    let mut seen = numbers(&mut reader, 1).await;
    while seen.last() != Some(&31) {
        seen.extend(numbers(&mut reader, 1).await);
    }
    let expected = range(second.iter().copied().chain([31]));
    let without_gone = |numbers: &[u64]| range(numbers.iter().copied().filter(|n| !(10..=12).contains(n)));
    assert_eq!(without_gone(&seen), without_gone(&expected));
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

#[tokio::test]
async fn a_stream_made_anew_is_read_from_its_beginning() {
    let scene = Scene::new().await;
    scene.publish(1..=20).await;
    let mut reader = open(&scene.topology).await;
    let before = read(&mut reader, 20).await;
    scene.nats.renew("EVENTS").await;
    scene.publish(21..=25).await;
    let after = read(&mut reader, 5).await;
    assert_eq!(after.iter().map(number).collect::<Vec<_>>(), range(21..=25));
    assert_eq!(after[0].event.position.sequence, 1);
    assert_ne!(after[0].event.position.epoch, before[0].event.position.epoch);
}

#[tokio::test]
async fn one_of_two_readers_is_active_and_the_other_takes_over() {
    let scene = Scene::new().await;
    let other = scene.other_topology().await;
    let mut active = open(&scene.topology).await;
    scene.publish(1..=5).await;
    let events = read(&mut active, 5).await;
    acknowledge(&mut active, events).await;

    let mut standby = open(&other).await;
    scene.publish(6..=8).await;
    // New events go to the active reader, while the standby keeps asking for them.
    let events = tokio::select! {
        biased;
        event = standby.next() => panic!("the standby got {}", number(&event)),
        events = read(&mut active, 3) => events,
    };
    acknowledge(&mut active, events.into_iter().take(1)).await;
    until_done(&scene, 6).await;

    drop(active);
    scene.publish(9..=10).await;
    assert_eq!(numbers(&mut standby, 4).await, range(7..=10));
}

#[tokio::test]
async fn a_reader_that_stops_pulling_is_replaced() {
    let scene = Scene::new().await;
    let other = scene.other_topology().await;
    let mut active = open(&scene.topology).await;
    scene.publish(1..=3).await;
    let events = read(&mut active, 3).await;
    acknowledge(&mut active, events).await;
    let mut standby = open(&other).await;
    // The active reader is kept but not polled any more, as if its process were stopped.
    let published = async {
        for n in 4.. {
            scene.publish([n]).await;
        }
    };
    tokio::select! {
        first = read(&mut standby, 1) => assert_eq!(number(&first[0]), 4),
        () = published => {}
    }
    drop(active);
}

/// One reader had read what is lost, the other one had not, and reads on before the first notices.
#[tokio::test]
async fn what_was_read_after_a_roll_back_is_not_read_again_when_another_reader_notices_it() {
    let mut scene = Scene::new().await;
    scene.publish(1..=10).await;
    let saved = scene.save(&["EVENTS"]).await;
    let mut behind = open(&scene.topology).await;
    read(&mut behind, 10).await;
    // So that nothing of what is lost is on its way to it.
    behind.stand_by();
    scene.publish(11..=20).await;
    let mut ahead = EventReader::open(&scene.topology, "other", PACE).await.unwrap();
    read(&mut ahead, 20).await;
    scene.bring_back(saved).await;
    scene.publish(21..=25).await;
    let came = read(&mut behind, 5).await;
    assert_eq!(came.iter().map(number).collect::<Vec<_>>(), range(21..=25));
    ahead.compare(None).await.unwrap();
    assert_eq!(numbers(&mut ahead, 5).await, range(21..=25));
    behind.compare(None).await.unwrap();
    scene.publish([26]).await;
    let next = read(&mut behind, 1).await;
    assert_eq!(number(&next[0]), 26);
    assert!(
        next[0].event.position.epoch.0 > came[4].event.position.epoch.0,
        "it is in the life that the other one began"
    );
    acknowledge(&mut behind, came.into_iter().chain(next)).await;
    until_done(&scene, 16).await;
}

/// New events are returned even if the durable consumer counts their sequences as done, or if their sequences were read
/// before.
#[tokio::test]
async fn events_after_a_roll_back_are_others_than_those_that_were_read() {
    let scenes = [("EVENTS", 23), ("EVENTS", 40), ("EVENTS/msgs", 23), ("EVENTS/msgs", 40)];
    join_all(scenes.map(|(saved, last)| Box::pin(roll_back(saved, last)))).await;
}

/// Brings back an older state of a part of the store, and publishes up to this number.
async fn roll_back(saved: &str, last: u64) {
    let mut scene = Scene::new().await;
    scene.publish(1..=10).await;
    let saved = scene.save(&[saved]).await;
    let mut reader = open(&scene.topology).await;
    scene.publish(11..=20).await;
    let events = read(&mut reader, 20).await;
    let (common, former) = (events[9].event.position, events[10].event.position);
    acknowledge(&mut reader, events).await;
    until_done(&scene, 20).await;
    scene.bring_back(saved).await;
    scene.publish(21..=last).await;
    let came = read(&mut reader, usize::try_from(last - 20).unwrap()).await;
    assert_eq!(came.iter().map(number).collect::<Vec<_>>(), range(21..=last));
    let first = came[0].event.position;
    assert_eq!((common.epoch, first.sequence), (former.epoch, 11));
    assert!(first.epoch.0 > former.epoch.0, "{first} is another event than {former}");
    assert!(!reader.holds(former) && reader.holds(common));
    acknowledge(&mut reader, came).await;
    // Another reader derives the same positions from the record.
    drop(reader);
    let mut reader = open(&scene.topology).await;
    scene.publish([last + 1]).await;
    let next = read(&mut reader, 1).await;
    assert_eq!(next[0].event.position.epoch, first.epoch);
}
