//! A trace goes on in what an event becomes.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::Instrument as _;
use tracing::subscriber::set_default;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{Scene, numbered};

#[tokio::test]
async fn an_event_carries_the_span_in_which_it_is_published() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let scene = Scene::new().await;
    let producer = scene.producer(scene.settings()).await;
    let subscriber = set_default(tracing_subscriber::registry().with(layer));
    producer.publish(numbered(1)).instrument(tracing::info_span!("order")).await.unwrap();
    drop(subscriber);
    producer.publish(numbered(2)).await.unwrap();

    let spans = exporter.get_finished_spans().unwrap();
    let context = &spans.iter().find(|span| span.name == "order").unwrap().span_context;
    let expected = format!("00-{}-{}-01", context.trace_id(), context.span_id());
    let found: Vec<_> = scene.events().await.into_iter().map(|event| event.trace_parent).collect();
    assert_eq!(found, [Some(expected), None]);
}
