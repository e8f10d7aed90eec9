//! What the projector would reject is not sent.
#![expect(clippy::panic, reason = "what fails here fails the test")]

use harness::nats_with;
use serde_json::json;
use tidings_producer::{ConnectError, Event, Producer, PublishError, Reason, Rejection, Settings};

use crate::generated::{ops, shelter};
use crate::support::Scene;

fn rejected(outcome: Result<tidings_producer::Stored, PublishError>) -> Rejection {
    match outcome {
        Err(PublishError::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_the_catalog_does_not_allow_is_refused_with_reason_and_place() {
    let scene = Scene::new().await;
    let producer = scene.producer(scene.settings().catalog(ops::catalog().unwrap())).await;
    let incomplete = json!({ "userId": "ada", "title": "t", "message": "m", "type": "info" });
    for (event, reason, pointer) in [
        (Event::new("notification.created", incomplete), Reason::MissingValue, Some("/priority")),
        (
            Event::new("metric.updated", json!({ "metric_name": "m", "value": "high", "timestamp": "t" })),
            Reason::SchemaViolation,
            Some("/data/value"),
        ),
        (Event::new("incident.closed", json!({})), Reason::UnknownEvent, None),
        (Event::new("incident", json!({})), Reason::MalformedEvent, None),
        (Event::new("incident.created", json!({})).at("yesterday"), Reason::MalformedEvent, None),
        (Event::new("incident.created", json!({})).with_id("a\nb"), Reason::MalformedEvent, None),
    ] {
        let rejection = rejected(producer.publish(event).await);
        assert_eq!((rejection.reason, rejection.pointer.as_deref()), (reason, pointer), "{rejection}");
    }
    assert_eq!(scene.count().await, Ok(0));
}

#[tokio::test]
async fn without_a_catalog_only_what_is_no_event_is_refused() {
    let scene = Scene::new().await;
    let producer = scene.producer(scene.settings()).await;
    producer.publish(Event::new("anything.goes", json!(null))).await.unwrap();
    let rejection = rejected(producer.publish(Event::new("a.b.c", json!({}))).await);
    assert_eq!(rejection.reason, Reason::MalformedEvent);
    assert_eq!(scene.count().await, Ok(1));
}

#[tokio::test]
async fn what_nats_never_takes_is_refused_and_holds_up_nobody() {
    let scene = Scene::on(nats_with(|options| options.config("max_payload: 4096")).await).await;
    let producer = scene.producer(scene.settings()).await;
    let large = producer.enqueue(Event::new("note.added", json!("x".repeat(5_000)))).await.unwrap();
    let small = producer.enqueue(Event::new("note.added", json!("x"))).await.unwrap();
    assert_eq!(small.stored().await.unwrap().sequence, 1);
    assert!(matches!(large.stored().await, Err(PublishError::Refused { .. })));
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    let settings = || Settings::new("nats://127.0.0.1:1", "/test");
    let error = async |tenant, settings| Producer::connect(tenant, settings).await.unwrap_err();
    assert!(matches!(error("Ops", settings()).await, ConnectError::Tenant(_)));
    assert!(matches!(error("ops", settings()).await, ConnectError::Nats(_)));
    let other = settings().catalog(shelter::catalog().unwrap());
    assert!(matches!(error("ops", other).await, ConnectError::OtherTenant { .. }));
    assert!(matches!(error("ops", Settings::new("nats://127.0.0.1:1", "")).await, ConnectError::Source(_)));
}
