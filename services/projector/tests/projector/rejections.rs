//! Events that cannot be projected are kept in `REJECTED`, once, and do not delay others.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::Scene;

#[tokio::test]
async fn rejected_events_are_kept_once_and_the_stream_goes_on() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    for (n, name, data) in [
        (1, "note.added", json!({ "n": 1, "user": "u" })),
        (2, "note.added", json!({ "n": 2 })),
        (3, "note.added", json!({ "n": "three", "user": "u" })),
        (4, "no.such", json!({ "n": 4 })),
        (5, "group.called", json!({ "n": 5, "watchers": [] })),
        (6, "note.added", json!({ "n": 6, "user": "u" })),
    ] {
        assert_eq!(scene.publish(name, &data).await, n);
    }
    scene.until_last_note_is(6).await;
    scene.holds([1, 6]).await;

    let rejected = scene.context.get_stream("REJECTED").await.unwrap();
    assert_eq!(rejected.cached_info().state.last_sequence, 4);
    for (event, reason, payload) in [
        (2, "missing-value", json!({ "n": 2 })),
        (3, "schema-violation", json!({ "n": "three", "user": "u" })),
        (4, "unknown-event", json!({ "n": 4 })),
        (5, "no-address", json!({ "n": 5, "watchers": [] })),
    ] {
        let kept = rejected.get_last_raw_message_by_subject(&format!("rejected.t.*.{event}")).await.unwrap();
        assert_eq!(kept.headers.get("Tidings-Reason").unwrap().as_str(), reason);
        assert_eq!(serde_json::from_slice::<Value>(&kept.payload).unwrap(), payload);
    }
    projector.stop().await;
}

#[tokio::test]
async fn no_event_that_the_server_takes_can_stop_the_stream() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    let filling = "x".repeat(60_000);
    let trace = "0".repeat(60_000);
    let note = json!({ "n": 0, "user": "u" });
    let member = "m".repeat(70_000);
    // The largest headers that JetStream allows, of a valid event and of one that is rejected.
    scene.publish_with("note.added", &[("x-large", &filling)], &note).await;
    scene.publish_with("no.such", &[("x-large", &filling), ("x-more", &"y".repeat(5_400))], &note).await;
    // A trace context that no envelope could carry.
    scene.publish_with("note.added", &[("traceparent", &trace)], &note).await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "s", "type": "t",
        "traceparent": "0".repeat(200_000), "data": note });
    scene.publish("note.added", &event).await;
    // A value at a JSON pointer of 70 kB.
    scene.publish("deep.added", &json!({ "n": 0, "user": "u", "inside": { member: { "x": 1 } } })).await;
    // As large as the server allows, to the byte.
    let largest = scene.topology.max_payload();
    let sent = scene.context.publish("events.t.note.added", Bytes::from(vec![b'['; largest])).await.unwrap();
    sent.await.unwrap();
    // A subject without an event name.
    scene.context.publish("events.t", "{}".into()).await.unwrap().await.unwrap();
    scene.context.publish("events.a.b.c.d.e", "{}".into()).await.unwrap().await.unwrap();
    scene.publish("note.added", &json!({ "n": 7, "user": "u" })).await;

    scene.until_last_note_is(7).await;
    scene.until_all_done().await;
    projector.stop().await;
}

#[tokio::test]
async fn an_event_rejected_again_replaces_its_first_rejection() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish("note.added", &json!({ "n": 1 })).await;
    scene.until_all_done().await;
    projector.stop().await;
    scene.forget_consumer().await;

    let projector = scene.projector().await;
    scene.publish("note.added", &json!({ "n": 2, "user": "u" })).await;
    scene.until_last_note_is(2).await;
    assert_eq!(scene.state("REJECTED").await.unwrap().1, 1);
    projector.stop().await;
}

/// A rejection that the stream refuses for good is made smaller, and does not delay later events.
#[tokio::test]
async fn a_rejection_that_is_too_large_is_kept_as_far_as_it_fits() {
    let scene = Scene::new().await;
    let limit = async |bytes| {
        let mut config = scene.context.get_stream("REJECTED").await.unwrap().cached_info().config.clone();
        config.max_message_size = bytes;
        scene.context.update_stream(config).await.unwrap();
    };
    let projector = scene.projector().await;
    let large = "x".repeat(10_000);
    let (bad, note) = (json!({ "n": 0, "large": large }), json!({ "n": 0 }));
    limit(8_192).await;
    // Too large are, in turn, the payload, the headers, the reason, and at last the rest.
    let payload = scene.publish("note.added", &bad).await;
    let header = scene.publish_with("note.added", &[("x-large", &large)], &note).await;
    let reason = scene.publish("deep.added", &json!({ "user": "u", "inside": { large: 1 } })).await;
    scene.publish("note.added", &json!({ "n": 1, "user": "u" })).await;
    scene.until_last_note_is(1).await;
    let rejected = scene.context.get_stream("REJECTED").await.unwrap();
    let kept = async |event: u64| {
        let subject = format!("rejected.t.*.{event}");
        let message = rejected.get_last_raw_message_by_subject(&subject).await.unwrap();
        let omitted =
            message.headers.get("Tidings-Omitted-Bytes").map(|bytes| bytes.as_str().parse().unwrap());
        (message.payload.len(), omitted.unwrap_or(0_usize))
    };
    assert_eq!(kept(payload).await, (0, bad.to_string().len()));
    let (left, omitted) = kept(header).await;
    assert!(left == note.to_string().len() && omitted > 10_000, "{left}, {omitted}");
    assert!(kept(reason).await.1 > 10_000);

    limit(100).await;
    scene.publish("note.added", &bad).await;
    scene.publish("note.added", &json!({ "n": 2, "user": "u" })).await;
    scene.until_last_note_is(2).await;
    scene.until_all_done().await;
    assert_eq!(scene.state("REJECTED").await.unwrap().1, 3);
    projector.stop().await;
}

/// An envelope that the stream refuses for good is left out, and its event is kept in `REJECTED` with the reason.
#[tokio::test]
async fn an_envelope_that_the_stream_refuses_is_rejected() {
    let scene = Scene::new().await;
    let projector = scene.projector().await;
    scene.publish("note.added", &json!({ "n": 1, "user": "u" })).await;
    scene.until_last_note_is(1).await;
    let mut config = scene.context.get_stream("ENVELOPES").await.unwrap().cached_info().config.clone();
    config.max_message_size = 8_192;
    scene.context.update_stream(config).await.unwrap();
    let large = json!({ "user": "u", "inside": { "text": "x".repeat(10_000) } });
    for n in 2..=100 {
        scene.publish("note.added", &json!({ "n": n, "user": "u" })).await;
        if n % 40 == 0 {
            scene.publish("deep.added", &large).await;
        }
    }
    scene.until_last_note_is(100).await;
    scene.until_all_done().await;
    scene.holds(1..=100).await;
    assert_eq!(scene.state("REJECTED").await.unwrap().1, 2);
    let rejected = scene.context.get_stream("REJECTED").await.unwrap();
    let kept = rejected.get_last_raw_message_by_subject("rejected.t.>").await.unwrap();
    assert_eq!(kept.headers.get("Tidings-Reason").unwrap().as_str(), "too-large");
    assert!(kept.headers.get("Tidings-Reason-Text").unwrap().as_str().contains("maximum"));
    assert_eq!(serde_json::from_slice::<Value>(&kept.payload).unwrap(), large);
    projector.stop().await;
}
