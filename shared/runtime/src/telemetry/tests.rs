use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_sdk::trace::InMemorySpanExporter;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::propagation::{continue_trace, inject};
use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// Fails a test that hangs; nothing waits this long.
const HANGS: Duration = Duration::from_secs(60);

fn traced_to(endpoint: String) -> TelemetryConfig {
    TelemetryConfig { log: "off".to_owned(), otlp_endpoint: Some(endpoint), ..TelemetryConfig::default() }
}

/// Runs `work` under a subscriber of its own and returns the spans that it left.
fn spans_of(work: impl FnOnce()) -> Vec<opentelemetry_sdk::trace::SpanData> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    exporter.get_finished_spans().unwrap()
}

#[test]
fn a_span_continues_the_trace_of_its_headers() {
    let headers = HashMap::from([("traceparent", format!("00-{TRACE}-{PARENT}-01"))]);
    let spans = spans_of(|| {
        let span = tracing::info_span!("project");
        continue_trace(&span, |name| headers.get(name).map(String::as_str));
        span.in_scope(|| ());
    });
    let [span] = spans.as_slice() else { panic!("expected one span: {spans:?}") };
    assert_eq!(span.span_context.trace_id().to_string(), TRACE);
    assert_eq!(span.parent_span_id.to_string(), PARENT);
    assert!(span.parent_span_is_remote);
}

#[test]
fn a_span_without_a_valid_traceparent_begins_a_trace() {
    let broken = ["", "00", "00-0-0-00", "00-xyz-xyz-01"];
    for header in broken.iter().map(|text| Some(*text)).chain([None]) {
        let spans = spans_of(|| {
            let span = tracing::info_span!("project");
            continue_trace(&span, |name| header.filter(|_| name == "traceparent"));
            span.in_scope(|| ());
        });
        assert_eq!(spans.len(), 1, "{header:?}");
        assert!(spans[0].span_context.trace_id() != opentelemetry::TraceId::INVALID);
        assert_eq!(spans[0].parent_span_id, opentelemetry::SpanId::INVALID);
    }
}

#[test]
fn headers_name_the_span_that_they_leave() {
    let mut headers = HashMap::new();
    let spans = spans_of(|| {
        let span = tracing::info_span!("publish");
        inject(&span, |name, value| {
            headers.insert(name.to_owned(), value);
        });
    });
    let context = &spans[0].span_context;
    let expected = format!("00-{}-{}-01", context.trace_id(), context.span_id());
    assert_eq!(headers.get("traceparent"), Some(&expected));
}

#[test]
fn without_tracing_headers_stay_as_they_are() {
    let span = tracing::info_span!("nobody listens");
    continue_trace(&span, |_| Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    inject(&span, |name, value| panic!("{name}: {value}"));
}

#[tokio::test]
async fn spans_reach_the_collector_before_shutdown_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let collector = spawn_blocking(move || receive_request(&listener.accept().unwrap().0));

    let (dispatch, guard) = build(&traced_to(endpoint), "tidings-test").unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        tracing::info_span!(target: "tidings_gateway", "own span").in_scope(|| ());
        tracing::info_span!(target: "some_library", "foreign span").in_scope(|| ());
    });
    guard.shutdown(HANGS).await.unwrap();

    let request = timeout(HANGS, collector).await.unwrap().unwrap();
    assert!(request.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("tidings-test"), "{request}");
    assert!(request.contains("own span"), "{request}");
    assert!(!request.contains("foreign span"), "{request}");
}

#[tokio::test]
async fn an_unreachable_collector_neither_blocks_nor_ends_the_process() {
    // The first refuses connections (tcpmux is served nowhere); the second accepts them, in its backlog, and never
    // answers.
    let refusing = SocketAddr::from(([127, 0, 0, 1], 1));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [refusing, silent.local_addr().unwrap()] {
        let (dispatch, guard) = build(&traced_to(format!("http://{address}")), "tidings-test").unwrap();
        // More than the queue and a batch hold: the rest is dropped rather than waited for.
        let spans = async {
            spawn_blocking(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    (0..10_000).for_each(|_| tracing::info_span!(target: "tidings", "span").in_scope(|| ()));
                });
            })
            .await
        };
        timeout(HANGS, spans).await.unwrap().unwrap();
        let ended = timeout(HANGS, guard.shutdown(Duration::from_millis(100))).await.unwrap();
        let error = ended.unwrap_err();
        assert!(matches!(error, TelemetryError::NotFlushed { .. }), "{address}: {error}");
    }
}

#[test]
fn tracing_needs_a_runtime_and_logging_does_not() {
    let traced = build(&traced_to("http://127.0.0.1:4318".to_owned()), "tidings-test");
    assert!(matches!(traced, Err(TelemetryError::NoRuntime)));
    for log_format in [LogFormat::Text, LogFormat::Json] {
        assert!(build(&TelemetryConfig { log_format, ..TelemetryConfig::default() }, "tidings-test").is_ok());
    }
}

/// What strangers chose is in every kind of field, in both formats.
#[test]
fn nothing_in_a_field_begins_a_line_or_commands_the_terminal() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer {0}")]
    struct Outer(String, #[source] std::io::Error);

    let forged = "ada\n2026 INFO forged\r\u{1b}[31m\u{9b}1m\u{202e}\u{2028}\u{200b}\u{7f}é語";
    for format in [LogFormat::Text, LogFormat::Json] {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let lines = lines(format, false, move || Sink(Arc::clone(&sink)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let error = Outer(forged.to_owned(), std::io::Error::other(forged));
            let error = &error as &dyn std::error::Error;
            tracing::info!(text = forged, shown = %forged, error, "message with {forged}");
            tracing::info_span!("span", name = forged, shown = %forged).in_scope(|| tracing::info!("within"));
        });
        let output = String::from_utf8(std::mem::take(&mut *written.lock().unwrap())).unwrap();
        assert_eq!(output.lines().count(), 2, "{output:?}");
        assert!(output.matches("é語").count() >= 5, "{output}");
        for hidden in ['\r', '\u{1b}', '\u{9b}', '\u{202e}', '\u{2028}', '\u{200b}', '\u{7f}'] {
            // Programs that read JSON know what to do with the rest of them.
            let is_for_programs = format == LogFormat::Json && hidden >= '\u{7f}';
            assert!(is_for_programs || !output.contains(hidden), "{hidden:?} in {output:?}");
        }
    }
}

#[derive(Clone)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_second_start_changes_nothing() {
    let config = TelemetryConfig { log: "off".to_owned(), ..TelemetryConfig::default() };
    let registry = Registry::default();
    let _guard = start(&config, "tidings-test", &registry).unwrap();
    let second = start(&config, "tidings-test", &registry);
    assert!(matches!(second, Err(TelemetryError::AlreadyStarted)));
}

/// Reads one request with a `Content-Length`, answers it, and returns it with `?` for what is not UTF-8.
fn receive_request(mut stream: &TcpStream) -> String {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk).unwrap();
        assert_ne!(read, 0, "the exporter hung up");
        request.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
        });
        if request.len() >= head.len() + 4 + length.unwrap() {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            return text.into_owned();
        }
    }
}
