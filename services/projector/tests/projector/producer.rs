//! From a typed event of the producer's SDK to the envelope that a gateway reads.

use std::sync::Arc;
use std::time::Duration;

use harness::{BOUND, eventually};
use serde_json::{Value, json};
use tidings_catalog::Catalogs;
use tidings_model::Tenant;
use tidings_producer::{Event, Producer, Settings};
use tidings_streams::{StoredEnvelope, fetch};

use self::generated::ops::{self, NotificationCreated, NotificationPriority, NotificationType};
use crate::support::{Scene, Task, settings};

/// What the SDK generates of the catalog; the generator's own test keeps it up to date.
mod generated {
    include!("../../../../shared/producer/tests/generated/ops.rs");
}

/// The envelope with this number in the stream, once it is there, and its body.
async fn written(scene: &Scene, sequence: u64) -> (StoredEnvelope, Value) {
    let stored = eventually("the envelope", BOUND, async || {
        let found = fetch(&scene.topology, sequence).await.map_err(|error| error.to_string())?;
        found.ok_or_else(|| format!("no envelope {sequence} yet"))
    })
    .await;
    let body = serde_json::from_slice(&stored.envelope.body).unwrap();
    (stored, body)
}

#[tokio::test]
async fn a_typed_event_becomes_the_message_of_its_catalog() {
    // A window that the test does not outlast, however slow the machine is.
    let scene = Scene::on(harness::nats().await, Duration::from_secs(120)).await;
    let catalogs = Catalogs::from([(Tenant::parse(ops::TENANT).unwrap(), ops::catalog().unwrap())]);
    let projector = Task::start_with(scene.topology.clone(), settings(), Arc::new(catalogs));

    let sdk = || Settings::new(scene.nats.url(), "/test");
    let producer = ops::Producer::connect(sdk()).await.unwrap();
    let (kind, priority) = (NotificationType::Success, NotificationPriority::Normal);
    let notification = NotificationCreated {
        action_url: Some("/deployments/7".to_owned()),
        ..NotificationCreated::new("Deployed", "Version 7 is out.", kind, priority, "ada")
    };
    let stored = producer.notification_created(&notification).await.unwrap();
    let (found, body) = written(&scene, 1).await;
    let envelope = found.envelope;
    assert_eq!((&envelope.event_id, envelope.subject.address.as_str()), (&stored.id, "user:ada"));
    let expected = json!({
        "title": "Deployed", "message": "Version 7 is out.", "type": "success", "priority": "normal",
        "actionUrl": "/deployments/7",
    });
    assert_eq!(body["data"], expected);

    // Again, as after an outage in which the answer was lost, and from another process; then something new.
    let again = Event::of(&notification).unwrap().with_id(&stored.id);
    for _ in 0..2 {
        let other = Producer::connect(ops::TENANT, sdk()).await.unwrap();
        other.publish(again.clone()).await.unwrap();
    }
    let next = NotificationCreated { title: "Next".to_owned(), ..notification };
    producer.notification_created(&next).await.unwrap();
    let (_, body) = written(&scene, 2).await;
    assert_eq!(body["data"]["title"], "Next", "the repetition became nothing");
    assert_eq!(scene.state("EVENTS").await.unwrap().1, 4);
    projector.stop().await;
}
