//! `/metrics`, on a listener of its own, so that it is never public by accident; and every metric there is.
//!
//! It is served from before anything else starts until everything else has ended: a process that waits or drains can be
//! looked at.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tidings_metrics::{Format, Page, Registry, expose};
use tidings_net::{ListenError, Listener, PendingLimits, Problem, Server, Settings, TrustedProxies};
use tidings_runtime::config::TelemetryConfig;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// How long a client may take to ask, and to take 64 KiB of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at once: a few Prometheus servers, and people.
const LIMITS: PendingLimits = PendingLimits {
    per_address: const { std::num::NonZeroUsize::new(16).unwrap() },
    all: const { std::num::NonZeroUsize::new(64).unwrap() },
};

/// Serves figures until it is dropped.
#[must_use = "figures are served until it is dropped"]
pub(crate) struct Serving {
    address: Option<SocketAddr>,
    _task: Option<AbortOnDropHandle<()>>,
}

impl Serving {
    /// Serves the registry's figures at the configured address, if there is one.
    pub(crate) fn start(config: &TelemetryConfig, registry: &Registry) -> Result<Self, ListenError> {
        let Some(address) = config.metrics_listen else { return Ok(Self { address: None, _task: None }) };
        let listener = Listener::bind("telemetry.metrics_listen", address)?;
        let address = listener.address();
        tracing::info!(%address, "metrics are served");
        let server = Server::new(settings(), None, router(registry.clone()));
        let task = tokio::spawn(async move {
            server.run(&listener, LIMITS, &TaskTracker::new(), &CancellationToken::new()).await;
        });
        Ok(Self { address: Some(address), _task: Some(AbortOnDropHandle::new(task)) })
    }

    /// Where figures are served, if they are.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

fn settings() -> Settings {
    Settings {
        section: "telemetry",
        trusted_proxies: TrustedProxies::new([]),
        proxy_protocol: false,
        handshake_timeout: PATIENCE,
        response_timeout: PATIENCE,
        max_headers: 100,
        max_header_bytes: 16 * 1024,
        error_body: |status| unread_head(status).map(|problem| problem.body()),
    }
}

fn router(registry: Registry) -> Router {
    let nothing = async || {
        let detail = "there is nothing here; see /metrics and /metrics/tenants";
        problem(StatusCode::NOT_FOUND, "NOT_FOUND", "nothing has this path", detail)
    };
    let other_method = async || {
        let title = "the path does not serve this method";
        let detail = "figures are only read; the header Allow names the methods";
        problem(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", title, detail)
    };
    Router::new()
        .route("/metrics", get(async |registry, headers| answer(registry, headers, Page::Process).await))
        .route(
            "/metrics/tenants",
            get(async |registry, headers| answer(registry, headers, Page::Tenants).await),
        )
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
        .with_state(registry)
}

async fn answer(State(registry): State<Registry>, headers: HeaderMap, page: Page) -> Response {
    // A header that is there several times is one list.
    let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    // Sources look at much, and at files.
    match spawn_blocking(move || expose(registry.snapshot(page), format)).await {
        Ok(exposition) => {
            let headers = [(CONTENT_TYPE, exposition.content_type), (CACHE_CONTROL, "no-store")];
            (headers, exposition.body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "figures could not be collected");
            let detail = "figures could not be collected; the log says why";
            problem(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "the service failed", detail)
                .into_response()
        }
    }
}

fn problem(
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: &'static str,
) -> Problem<'static> {
    Problem { status, code, title, detail, more: &[] }
}

/// The answer to a request whose head cannot be read; `None` for any other status.
fn unread_head(status: StatusCode) -> Option<Problem<'static>> {
    let (code, detail) = match status {
        StatusCode::BAD_REQUEST => ("REQUEST_MALFORMED", "the request is not HTTP/1.1"),
        StatusCode::URI_TOO_LONG => ("URI_TOO_LONG", "the request's target is too long"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            ("HEADERS_TOO_LARGE", "the headers are too many or too long")
        }
        _ => return None,
    };
    Some(problem(status, code, "the request cannot be read", detail))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tidings_metrics::{Kind, Metric, PROCESS_METRICS, reference_table};

    use crate::{canary, reload};

    fn all() -> Vec<&'static Metric> {
        let lists = [
            tidings_projector::METRICS,
            tidings_projector::SOURCE_METRICS,
            tidings_dispatcher::METRICS,
            tidings_streams::CONNECTION_METRICS,
            reload::METRICS,
            canary::METRICS,
            PROCESS_METRICS,
        ];
        tidings_gateway::metrics().chain(lists.into_iter().flatten().copied()).collect()
    }

    #[test]
    fn the_document_has_the_table_of_all_metrics() {
        let (begin, end) =
            ("<!-- metrics: `UPDATE_GENERATED=1 cargo test` writes it -->\n", "<!-- metrics: end -->");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/README.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (before, rest) = document.split_once(begin).unwrap();
        let (_, after) = rest.split_once(end).unwrap();
        let generated = format!("{before}{begin}\n{}\n{end}{after}", reference_table(all()));
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(path, &generated).unwrap();
        } else {
            assert!(document == generated, "UPDATE_GENERATED=1 cargo test writes the table again");
        }
    }

    /// What `promtool check metrics` asks for, and Prometheus's naming conventions.
    #[test]
    fn names_follow_the_conventions() {
        let mut names = BTreeSet::new();
        for metric in all() {
            let name = metric.name();
            assert!(names.insert(name), "{name} is declared twice");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(name.starts_with("tidings_") || name.starts_with("process_"), "{name}");
            assert_eq!(metric.kind() == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(metric.help().ends_with('.') && metric.help().len() > 10, "{name}: {}", metric.help());
            let is_time = metric.help().contains("in seconds");
            assert!(!is_time || name.contains("_seconds"), "{name} has no unit");
            for label in metric.labels() {
                assert!(
                    !["user", "device", "topic", "le", "job", "instance"].contains(label),
                    "{name}: {label}"
                );
            }
        }
    }
}
