//! A collector receives by OTLP what Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};

use harness::{BOUND, eventually};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::figures::listed;
use crate::scene::Scene;

/// What each service sent: its last figures.
type Figures = BTreeMap<String, Vec<Metric>>;

/// A collector that keeps the last figures of each service, and all spans.
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    received: watch::Receiver<Figures>,
    spans: watch::Receiver<Vec<Span>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (sender, received) = watch::channel(BTreeMap::new());
        let (span_sender, spans) = watch::channel(Vec::new());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, (sender.clone(), span_sender.clone())));
            }
        });
        Self { endpoint, received, spans }
    }

    /// Waits for spans for which a condition holds.
    pub(crate) async fn until_spans(&self, holds: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        eventually("spans", BOUND, async || {
            let spans = self.spans.borrow().clone();
            if holds(&spans) { Ok(spans) } else { Err(format!("{spans:?}")) }
        })
        .await
    }

    /// Waits for figures of a service for which a condition holds.
    async fn until(&self, service: &str, holds: impl Fn(&[Metric]) -> bool) -> Vec<Metric> {
        eventually(service, BOUND, async || {
            let received = self.received.borrow().get(service).cloned();
            received.filter(|metrics| holds(metrics)).ok_or("nothing of it")
        })
        .await
    }
}

/// Answers the requests of one connection.
async fn serve(mut stream: TcpStream, (sender, spans): (watch::Sender<Figures>, watch::Sender<Vec<Span>>)) {
    let mut bytes = Vec::new();
    loop {
        let Some((head, body)) = request(&mut stream, &mut bytes).await else { return };
        if head.starts_with("POST /v1/traces HTTP/1.1\r\n") {
            let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            spans.send_modify(|received| received.extend(scopes.flat_map(|scope| scope.spans)));
        }
        if head.starts_with("POST /v1/metrics HTTP/1.1\r\n") {
            assert!(head.contains("application/x-protobuf"), "{head}");
            let request = ExportMetricsServiceRequest::decode(&body[..]).unwrap();
            for resource in request.resource_metrics {
                let attributes = resource.resource.unwrap().attributes;
                let text = |name: &str| {
                    let found = attributes.iter().find(|attribute| attribute.key == name)?;
                    match found.value.clone()?.value? {
                        Value::StringValue(text) => Some(text),
                        _ => None,
                    }
                };
                assert!(text("service.instance.id").is_some(), "{attributes:?}");
                let metrics = resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics).collect();
                let service = text("service.name").unwrap();
                sender.send_modify(|received| _ = received.insert(service, metrics));
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    }
}

/// The head and the body of the next request; `None` at the end.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end + 4]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
            });
            let whole = end + 4 + length.unwrap_or_default();
            if bytes.len() >= whole {
                let body = bytes[end + 4..whole].to_vec();
                bytes.drain(..whole);
                return Some((head, body));
            }
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// The sum of all series of a metric, which are whole numbers.
fn whole(metrics: &[Metric], name: &str) -> Option<i64> {
    let metric = metrics.iter().find(|metric| metric.name == name)?;
    let points = match metric.data.as_ref()? {
        metric::Data::Gauge(gauge) => &gauge.data_points,
        metric::Data::Sum(sum) => &sum.data_points,
        _ => return None,
    };
    let values = points.iter().map(|point| match point.value? {
        number_data_point::Value::AsInt(value) => Some(value),
        number_data_point::Value::AsDouble(_) => None,
    });
    values.sum()
}

/// A system that sends its figures to a collector this often.
async fn scene(collector: &Collector, interval: &str) -> Scene {
    Scene::start(|setup| {
        setup
            .variable("TIDINGS_TELEMETRY__OTLP_ENDPOINT", &collector.endpoint)
            .variable("TIDINGS_TELEMETRY__METRICS_INTERVAL", interval)
    })
    .await
}

#[tokio::test]
async fn a_collector_receives_what_prometheus_reads() {
    let collector = Collector::start().await;
    let scene = scene(&collector, "100ms").await;
    let mut client = Scene::sequenced(scene.system.address(), "ada", "one").await;
    scene.note("ada", 1, "").await;
    client.next_json(BOUND).await;

    // Both pages together.
    let connected = |metrics: &[Metric]| whole(metrics, "tidings.gateway.tenant_connections") == Some(1);
    let gateway = collector.until("tidings-gateway", connected).await;
    // The lag is known a moment after the first export.
    let lags = |metrics: &[Metric]| whole(metrics, "tidings.projector.lag_events").is_some();
    let projector = collector.until("tidings-projector", lags).await;
    let received: BTreeSet<&str> =
        gateway.iter().chain(&projector).map(|metric| metric.name.as_str()).collect();
    let missing: Vec<String> = listed()
        .into_iter()
        .map(|metric| {
            let stem = metric
                .name
                .trim_end_matches("_total")
                .trim_end_matches("_seconds")
                .trim_end_matches("_bytes");
            stem.replacen('_', ".", if stem.starts_with("tidings_") { 2 } else { 1 })
        })
        .filter(|name| !received.contains(name.as_str()))
        // Of limits that nobody has met, and without a source, there is nothing; canary and dispatcher are processes of their own.
        .filter(|name| {
            !name.ends_with("tenant_limit_refusals")
                && !["tidings.source.", "tidings.canary.", "tidings.dispatcher."]
                    .iter()
                    .any(|other| name.starts_with(other))
        })
        .collect();
    assert_eq!(missing, [""; 0], "{received:?}");
    let delivery = gateway.iter().find(|metric| metric.name == "tidings.gateway.delivery").unwrap();
    assert_eq!(delivery.unit, "s");
    assert!(matches!(delivery.data, Some(metric::Data::ExponentialHistogram(_))), "{delivery:?}");
}

#[tokio::test]
async fn the_last_figures_go_out_before_the_process_ends() {
    let collector = Collector::start().await;
    let scene = scene(&collector, "1h").await;
    Scene::sequenced(scene.system.address(), "ada", "one").await.close().await;
    assert!(collector.received.borrow().is_empty(), "an hour is not over");
    scene.system.gateway.signal(Signal::TERM);
    let handshakes = |metrics: &[Metric]| whole(metrics, "tidings.gateway.handshakes") == Some(1);
    collector.until("tidings-gateway", handshakes).await;
}
