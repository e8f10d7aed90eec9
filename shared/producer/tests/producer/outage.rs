//! NATS comes and goes.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt as _;
use harness::{BOUND, eventually};
use tidings_producer::{Producer, PublishError};

use crate::support::{Scene, number, numbered};

#[tokio::test]
async fn each_event_is_stored_once_and_in_order_though_nats_is_killed() {
    const EVENTS: u64 = 10_000;
    let mut scene = Scene::new().await;
    let producer = scene.producer(scene.settings().buffer(1_000)).await;
    let publish = async {
        for n in 0..EVENTS {
            producer.enqueue(numbered(n)).await.unwrap();
        }
        producer.flush().await.unwrap();
    };
    let kill = async {
        for stored in [500, 3_000, 6_000, 8_000] {
            eventually("so many events", BOUND, async || match scene.count().await? {
                count if count >= stored => Ok(()),
                count => Err(format!("{count} of {stored}")),
            })
            .await;
            scene.nats.kill().await.unwrap();
            scene.nats.restart().await.unwrap();
        }
    };
    tokio::join!(publish, kill);
    // What was sent again, because its answer was lost, has the same id and reaches nobody.
    let mut seen = BTreeSet::new();
    let events = scene.events().await.into_iter().filter(|event| seen.insert(event.id.clone()));
    let found: Vec<_> = events.map(|event| number(&event)).collect();
    let right = found.iter().zip(0..).take_while(|(found, n)| *found == n).count();
    assert_eq!(
        (right, found.len()),
        (10_000, 10_000),
        "{:?}",
        found.get(right..(right + 3).min(found.len()))
    );
    producer.shutdown(BOUND).await.unwrap();
}

#[tokio::test]
async fn a_full_buffer_gives_events_back_or_lets_their_producers_wait() {
    let mut scene = Scene::new().await;
    let producer = scene.producer(scene.settings().buffer(8)).await;
    scene.nats.kill().await.unwrap();
    for n in 0..8 {
        producer.try_enqueue(numbered(n)).unwrap();
    }
    let Err(PublishError::Full(full)) = producer.try_enqueue(numbered(8)) else { panic!("it is full") };
    let mut waits = Box::pin(producer.enqueue(*full.event));
    assert!(waits.as_mut().now_or_never().is_none(), "it waits");
    scene.nats.restart().await.unwrap();
    assert_eq!(waits.await.unwrap().stored().await.unwrap().sequence, 9);
    assert_eq!(scene.numbers().await, (0..9).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_end_of_a_producer_says_what_is_not_stored() {
    let mut scene = Scene::new().await;
    let producer = scene.producer(scene.settings()).await;
    producer.publish(numbered(0)).await.unwrap();
    scene.nats.kill().await.unwrap();
    let receipts: Vec<_> = (1..4).map(|n| producer.try_enqueue(numbered(n)).unwrap()).collect();
    let unstored = producer.shutdown(Duration::from_millis(10)).await.unwrap_err();
    let ids: Vec<_> = unstored.events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, receipts.iter().map(tidings_producer::Receipt::id).collect::<Vec<_>>());
    assert!(unstored.to_string().contains("3 events"), "{unstored}");
    for receipt in receipts {
        assert!(matches!(receipt.stored().await, Err(PublishError::NotStored { .. })));
    }
    // What was handed back can be published as it is, later and by whomever.
    scene.nats.restart().await.unwrap();
    for event in unstored.events {
        scene.context.publish(event.subject, event.cloud_event).await.unwrap().await.unwrap();
    }
    assert_eq!(scene.numbers().await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn events_wait_for_a_stream_that_is_not_there_yet() {
    let nats = harness::nats().await;
    let settings = tidings_producer::Settings::new(nats.url(), "/test");
    let producer = Producer::connect("ops", settings).await.unwrap();
    for n in 0..100 {
        producer.enqueue(numbered(n)).await.unwrap();
    }
    let scene = Scene::on(nats).await;
    producer.flush().await.unwrap();
    assert_eq!(scene.numbers().await, (0..100).collect::<Vec<_>>());
}
