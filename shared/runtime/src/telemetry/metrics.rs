//! Sends the figures of the process to a collector, as often as is configured and once more at the end.
//!
//! Figures are cumulative: what one request could not deliver, the next one contains. So none is repeated, and the
//! collector's absence costs no memory.

use std::time::{Duration, SystemTime};

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient as _};
use opentelemetry_sdk::Resource;
use tidings_metrics::{Page, Registry, to_otlp};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::TelemetryConfig;

/// The timeout of one request, and of a batch with all its retries.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// Where a collector at `endpoint` receives a signal.
pub(super) fn signal(endpoint: &str, signal: &str) -> String {
    format!("{}/v1/{signal}", endpoint.trim_end_matches('/'))
}

/// The task that sends figures.
#[derive(Debug)]
pub(super) struct MetricsExport {
    stopped: CancellationToken,
    task: JoinHandle<()>,
}

impl MetricsExport {
    /// Sends the registry's figures if a collector is configured.
    pub(super) fn start(config: &TelemetryConfig, resource: &Resource, registry: &Registry) -> Option<Self> {
        let endpoint = signal(config.otlp_endpoint.as_deref()?, "metrics");
        let attributes = resource.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let client = HyperClient::with_default_connector(TIMEOUT, None);
        let sender = Sender { client, endpoint, attributes, registry: registry.clone(), has_failed: false };
        let stopped = CancellationToken::new();
        let task = tokio::spawn(sender.run(config.metrics_interval, stopped.clone()));
        Some(Self { stopped, task })
    }

    /// Sends the figures once more, within `bound`.
    pub(super) async fn finish(self, bound: Duration) {
        self.stopped.cancel();
        if timeout(bound, self.task).await.is_err() {
            tracing::warn!(?bound, "the last metrics were not exported in time");
        }
    }
}

struct Sender {
    client: HyperClient,
    endpoint: String,
    attributes: Vec<(String, String)>,
    registry: Registry,
    has_failed: bool,
}

impl Sender {
    async fn run(mut self, interval: Duration, stopped: CancellationToken) {
        loop {
            let is_last = stopped.run_until_cancelled(sleep(interval)).await.is_none();
            let sent = self.send().await;
            self.note(sent);
            if is_last {
                return;
            }
        }
    }

    async fn send(&self) -> Result<(), ExportError> {
        let (registry, attributes) = (self.registry.clone(), self.attributes.clone());
        // The figures of many parts take a moment.
        let body = spawn_blocking(move || {
            let snapshots = [Page::Process, Page::Tenants].map(|page| registry.snapshot(page));
            to_otlp(&snapshots, &attributes, SystemTime::now())
        });
        let mut request = Request::post(&self.endpoint).body(Bytes::from(body.await?))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let response = self.client.send_bytes(request).await?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(format!("status {}", response.status()).into())
        }
    }

    /// Logs when it begins and ends that figures cannot be sent.
    fn note(&mut self, sent: Result<(), ExportError>) {
        match sent {
            Ok(()) if std::mem::take(&mut self.has_failed) => tracing::info!("metrics are exported again"),
            Err(error) if !std::mem::replace(&mut self.has_failed, true) => {
                let endpoint = &self.endpoint;
                tracing::warn!(error = &*error, endpoint, "metrics cannot be exported; trying again");
            }
            _ => {}
        }
    }
}

type ExportError = Box<dyn std::error::Error + Send + Sync>;
