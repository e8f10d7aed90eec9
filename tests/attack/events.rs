//! A producer that publishes rubbish.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, consumer};
use futures_util::TryStreamExt as _;

use crate::scene::{Outcome, Scene};

/// Each event is projected or kept in `REJECTED`; none is lost, none is both.
pub(crate) async fn attack(scene: &mut Scene) -> Outcome {
    let mut outcome = Outcome::of("a producer publishes rubbish: bytes, headers, subjects, CloudEvents");
    let mut published = Vec::new();
    for _ in 0..scene.attempts {
        let (subject, headers, payload) = event(scene);
        let sequence = scene.system.publish_raw(&subject, headers, payload.clone()).await;
        published.push((sequence, subject, payload));
    }
    // Events are projected in order: all of them come before what the witness receives.
    scene.check().await;
    let rejected = origins(scene, "REJECTED").await;
    let projected = origins(scene, "ENVELOPES").await;
    for (sequence, subject, payload) in published {
        let is_kept = rejected.contains(&sequence) != projected.contains(&sequence);
        let shown = || format!("{subject} {:?}", String::from_utf8_lossy(&payload[..payload.len().min(80)]));
        outcome.count((!is_kept).then(shown));
    }
    outcome
}

fn event(scene: &mut Scene) -> (String, HeaderMap, Vec<u8>) {
    let subject = *scene.one_of(&[
        "events.ops.incident.created",
        "events.ops.notification.created",
        "events.ops.incident.exploded",
        "events.nobody.incident.created",
        "events.ops.incident",
        "events.OPS.incident.created",
        "events.documents.processing.progressed",
        "events.ops.a.b.c.d",
    ]);
    let mut headers = HeaderMap::new();
    for _ in 0..scene.random.u8(..4) {
        let name = *scene.one_of(&[
            "ce-id",
            "ce-time",
            "ce-source",
            "ce-specversion",
            "Content-Type",
            "traceparent",
        ]);
        let value = *scene.one_of(&[
            "1.0",
            "x",
            "yesterday",
            "application/json",
            "application/cloudevents+json",
            "😀",
        ]);
        headers.insert(name, value);
    }
    let payload = match scene.random.u8(..4) {
        0 => scene.bytes(200),
        1 => "[".repeat(scene.random.usize(..20_000)).into_bytes(),
        2 => Vec::new(),
        _ => scene.json(5).to_string().into_bytes(),
    };
    (subject.to_owned(), headers, payload)
}

/// Which events the messages of a stream come from.
async fn origins(scene: &Scene, stream: &str) -> BTreeSet<u64> {
    let stream = jetstream::new(scene.system.client().clone()).get_stream(stream).await.unwrap();
    let pending = stream.cached_info().state.messages;
    let config = consumer::pull::OrderedConfig { headers_only: true, ..Default::default() };
    let messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let mut messages = messages.try_ready_chunks(1);
    let mut origins = BTreeSet::new();
    for _ in 0..pending {
        let Some(message) = messages.try_next().await.unwrap() else { break };
        let headers = message.iter().filter_map(|message| message.headers.as_ref());
        let positions = headers.filter_map(|headers| headers.get("Tidings-Event-Seq"));
        origins.extend(
            positions.filter_map(|position| position.as_str().rsplit('-').next()?.parse::<u64>().ok()),
        );
    }
    origins
}
