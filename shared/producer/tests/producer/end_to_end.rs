//! From a typed event to the envelope that a user's gateway reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use harness::{BOUND, eventually};
use serde_json::{Value, json};
use tidings_catalog::Catalogs;
use tidings_model::{ShardNumber, Tenant};
use tidings_producer::Event;
use tidings_projector::Settings;
use tidings_streams::fetch;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::generated::ops::{self, NotificationCreated, NotificationPriority, NotificationType};
use crate::support::Scene;

#[tokio::test]
async fn a_typed_event_becomes_the_message_of_its_catalog() {
    let scene = Scene::new().await;
    let catalogs = Catalogs::from([(Tenant::parse(ops::TENANT).unwrap(), ops::catalog().unwrap())]);
    let (_catalogs, watched) = watch::channel(Arc::new(catalogs));
    let settings = Settings {
        consumer: "projector".to_owned(),
        in_flight: 16,
        max_event_bytes: 1024 * 1024,
        shard: ShardNumber::default(),
        shards: BTreeMap::new(),
    };
    let end = CancellationToken::new();
    let now = OffsetDateTime::now_utc;
    let projector = tidings_projector::run(scene.topology.clone(), watched, settings, now, end.clone());
    let projector = tokio::spawn(projector);

    let producer = ops::Producer::connect(scene.settings()).await.unwrap();
    let (kind, priority) = (NotificationType::Success, NotificationPriority::Normal);
    let notification = NotificationCreated {
        action_url: Some("/deployments/7".to_owned()),
        ..NotificationCreated::new("Deployed", "Version 7 is out.", kind, priority, "ada")
    };
    let stored = producer.notification_created(&notification).await.unwrap();
    let envelope = eventually("the envelope", BOUND, async || {
        fetch(&scene.topology, 1).await.map_err(|error| error.to_string())?.ok_or("none yet".to_owned())
    })
    .await
    .envelope;
    assert_eq!((&envelope.event_id, envelope.subject.address.as_str()), (&stored.id, "user:ada"));
    let body: Value = serde_json::from_slice(&envelope.body).unwrap();
    let expected = json!({
        "title": "Deployed", "message": "Version 7 is out.", "type": "success", "priority": "normal",
        "actionUrl": "/deployments/7",
    });
    assert_eq!(body["data"], expected);

    // Again, as after an outage in which the answer was lost, and from another process; then something new.
    let again = Event::of(&notification).unwrap().with_id(&stored.id);
    for _ in 0..2 {
        scene.producer(scene.settings()).await.publish(again.clone()).await.unwrap();
    }
    producer
        .notification_created(&NotificationCreated { title: "Next".to_owned(), ..notification })
        .await
        .unwrap();
    let next = eventually("the next envelope", BOUND, async || {
        fetch(&scene.topology, 2).await.map_err(|error| error.to_string())?.ok_or("none yet".to_owned())
    })
    .await;
    let body: Value = serde_json::from_slice(&next.envelope.body).unwrap();
    assert_eq!(body["data"]["title"], "Next", "the repetition became nothing");
    assert_eq!(scene.count().await, Ok(4));
    end.cancel();
    projector.await.unwrap().unwrap();
}
