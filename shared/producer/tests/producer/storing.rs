//! What is taken is stored, in order, and once.

use std::time::Duration;

use tidings_model::Delivery;
use tidings_producer::{Event, PublishError};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{Scene, numbered};

#[tokio::test]
async fn an_event_is_stored_as_it_was_given() {
    let scene = Scene::new().await;
    let producer = scene.producer(scene.settings()).await;
    let event = Event::new("note.added", serde_json::json!({ "n": 1, "digits": 1.50 }));
    let stored = producer.publish(event.clone().about("note 1")).await.unwrap();
    assert_eq!((stored.id.as_str(), stored.sequence), (event.id.as_str(), 1));
    let found = scene.events().await.remove(0);
    assert_eq!((found.name.to_string(), found.id, found.data), (event.name, event.id, event.data));
    assert_eq!((found.source.as_deref(), found.subject.as_deref()), (Some("/test"), Some("note 1")));
    assert_eq!(found.time, Some(event.time));
}

#[tokio::test]
async fn what_was_enqueued_is_stored_in_its_order_when_it_is_flushed() {
    let scene = Scene::new().await;
    let producer = scene.producer(scene.settings().in_flight(16)).await;
    for n in 0..500 {
        producer.enqueue(numbered(n)).await.unwrap();
    }
    producer.flush().await.unwrap();
    assert_eq!(scene.numbers().await, (0..500).collect::<Vec<_>>());
    producer.shutdown(harness::BOUND).await.unwrap();
    assert!(matches!(producer.publish(numbered(1)).await, Err(PublishError::Closed)));
}

#[tokio::test]
async fn an_event_says_when_and_what_is_cancelled() {
    let scene = Scene::new().await;
    let producer = scene.producer(scene.settings()).await;
    let minute = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(60);
    let stored = producer.publish(numbered(1).deliver_at(minute)).await.unwrap();
    producer.cancel("note.added", &stored.id).await.unwrap();
    let (at, never) = (Some(Delivery::At(minute)), Some(Delivery::Never));
    let found: Vec<_> = scene.events().await.into_iter().map(|event| (event.id, event.delivery)).collect();
    assert_eq!(found, [(stored.id.clone(), at), (stored.id, never)]);
    // Too far ahead, and a delay that nothing can be added to.
    let year = Duration::from_secs(400 * 24 * 60 * 60);
    for event in [numbered(2).deliver_after(year), numbered(2).deliver_after(Duration::MAX)] {
        let refused = producer.publish(event).await.unwrap_err();
        assert!(matches!(&refused, PublishError::Rejected(_)), "{refused}");
    }
    let soon = numbered(3).deliver_after(Duration::from_secs(1)).deliver_at.unwrap();
    assert!(
        OffsetDateTime::parse(&soon, &Rfc3339).unwrap() > OffsetDateTime::now_utc() - Duration::from_secs(60)
    );
}
