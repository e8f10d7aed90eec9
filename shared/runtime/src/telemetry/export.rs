//! The way of spans to the collector: OTLP over HTTP with the hyper that the process has anyway.
//!
//! The SDK collects spans on a thread of its own, where no tokio runtime is; hyper needs one. So requests run as tasks
//! of the process's runtime, and the SDK's thread alone waits for them.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use tokio::runtime::Handle;

use super::TelemetryError;

/// For one request, and for a batch with all its retries.
const TIMEOUT: Duration = Duration::from_secs(5);

/// An exporter to the collector at `endpoint`, `http://host:port`. Nothing is sent before there are spans.
pub(super) fn exporter(endpoint: &str) -> Result<SpanExporter, TelemetryError> {
    let runtime = Handle::try_current().map_err(|_| TelemetryError::NoRuntime)?;
    let client = HyperClient::with_default_connector(TIMEOUT, None);
    SpanExporter::builder()
        .with_http()
        .with_http_client(OnRuntime { runtime, client })
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|source| TelemetryError::Exporter { endpoint: endpoint.to_owned(), source })
}

/// A client for threads that no tokio runtime drives.
#[derive(Debug)]
struct OnRuntime {
    runtime: Handle,
    client: HyperClient,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        // A runtime that has ended cancels the task, which is an error like any other.
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}
