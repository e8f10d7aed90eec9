//! One trace shows an event's way: producer, projector, write, gateway, and the acknowledgement of each client.

use async_nats::HeaderMap;
use harness::BOUND;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use rustix::process::Signal;
use serde_json::json;

use crate::collector::Collector;
use crate::scene::Scene;

/// A trace of a producer, and the span in which it publishes.
struct Producer {
    trace: [u8; 16],
    span: [u8; 8],
}

impl Producer {
    fn new(number: u8) -> Self {
        Self { trace: [number; 16], span: [number; 8] }
    }

    /// Publishes a note for Ada within the trace.
    async fn publish(&self, scene: &Scene, n: u64, flags: &str) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", format!("00-{}-{}-{flags}", hex(&self.trace), hex(&self.span)));
        let payload = json!({ "user": "ada", "n": n }).to_string();
        scene.system.publish_raw("events.lab.note.sent", headers, payload).await;
    }

    /// The spans of the trace with this name.
    fn named<'s>(&self, spans: &'s [Span], name: &str) -> Vec<&'s Span> {
        spans.iter().filter(|span| span.trace_id == self.trace && span.name == name).collect()
    }
}

fn attribute(span: &Span, name: &str) -> Option<Value> {
    span.attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?.value
}

fn text(span: &Span, name: &str) -> String {
    match attribute(span, name) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{name} of {} is {other:?}", span.name),
    }
}

#[tokio::test]
async fn a_trace_goes_from_the_producer_to_the_acknowledgement() {
    let collector = Collector::start().await;
    let scene = Scene::start(|setup| {
        let setup = setup.variable("TIDINGS_TELEMETRY__OTLP_ENDPOINT", &collector.endpoint);
        setup.variable("OTEL_BSP_SCHEDULE_DELAY", "100")
    })
    .await;
    let address = scene.gateway_address();
    let mut sequenced = Scene::sequenced(&address, "ada", "one").await;
    let mut plain = Scene::dial(&address, "ada", "two").open().await;
    plain.expect_nothing_before_pong(BOUND).await;

    // What lies there when the projector goes on is written together.
    let [first, second, unsampled] = [1, 2, 3].map(Producer::new);
    scene.system.projector.signal(Signal::STOP);
    first.publish(&scene, 1, "01").await;
    second.publish(&scene, 2, "01").await;
    unsampled.publish(&scene, 3, "00").await;
    scene.system.projector.signal(Signal::CONT);
    let last = sequenced.until(BOUND, |message| message["n"] == 3).await.pop().unwrap();
    sequenced.send_json(&json!({ "action": "ack", "seq": last["seq"] })).await;
    plain.until(BOUND, |message| message["n"] == 3).await;

    // The plain client's answer to a Ping is sent while it is read from.
    let reading = async { plain.next_json(BOUND * 4).await };
    let all = collector.until_spans(|spans| {
        [&first, &second].iter().all(|producer| producer.named(spans, "ack clients").len() == 2)
            && spans.iter().any(|span| span.name == "send ENVELOPES")
    });
    let spans = tokio::select! {
        spans = all => spans,
        more = reading => panic!("{more}"),
    };

    for producer in [&first, &second] {
        let [projected] = producer.named(&spans, "process EVENTS")[..] else { panic!("{spans:?}") };
        assert_eq!(projected.parent_span_id, producer.span, "the producer's span is the parent");
        assert_eq!(text(projected, "messaging.operation.type"), "process");
        assert_eq!(text(projected, "messaging.destination.name"), "events.lab.note.sent");
        // One for each worker that has receivers.
        let delivered = producer.named(&spans, "deliver clients");
        let mut receivers = 0;
        for span in &delivered {
            assert_eq!(span.parent_span_id, projected.span_id);
            assert_eq!(text(span, "messaging.operation.type"), "send");
            assert_eq!(text(span, "messaging.destination.name"), "user:ada");
            assert_eq!(text(span, "messaging.message.id"), text(projected, "messaging.message.id"));
            let Some(Value::IntValue(count)) = attribute(span, "tidings.receivers") else {
                panic!("{span:?}")
            };
            receivers += count;
        }
        assert_eq!(receivers, 2);
        for acknowledged in producer.named(&spans, "ack clients") {
            assert!(delivered.iter().any(|span| span.span_id == acknowledged.parent_span_id));
            assert_eq!(text(acknowledged, "messaging.operation.type"), "settle");
        }
    }
    // Both were written at once: in the trace of the first, with a link to the second.
    let [write] = first.named(&spans, "send ENVELOPES")[..] else { panic!("no write in {spans:?}") };
    let linked: Vec<_> = write.links.iter().map(|link| &link.trace_id[..]).collect();
    assert_eq!(linked, [&second.trace[..]]);
    assert_eq!(attribute(write, "messaging.batch.message_count"), Some(Value::IntValue(2)));
    // A trace that its producer does not sample has no spans.
    assert_eq!(spans.iter().filter(|span| span.trace_id == unsampled.trace).count(), 0);
}
