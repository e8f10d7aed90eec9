//! What is taken is stored, in order, and once.

use tidings_producer::{Event, PublishError};

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
