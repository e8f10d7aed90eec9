//! Sends to a collector by OTLP over HTTP with hyper, which the process uses anyway.
//!
//! The SDK collects spans on its own thread without a tokio runtime, but hyper needs one. So requests run as tasks of
//! the process's runtime, and only the SDK's thread waits for them.

use async_trait::async_trait;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use tokio::runtime::Handle;

use super::TelemetryError;
use super::metrics::{TIMEOUT, signal};

/// Creates an exporter to the collector at `endpoint`, `http://host:port`. It sends nothing before there are spans.
pub(super) fn exporter(endpoint: &str) -> Result<SpanExporter, TelemetryError> {
    let runtime = Handle::try_current().map_err(|_| TelemetryError::NoRuntime)?;
    let client = HyperClient::with_default_connector(TIMEOUT, None);
    SpanExporter::builder()
        .with_http()
        .with_http_client(OnRuntime { runtime, client })
        .with_endpoint(signal(endpoint, "traces"))
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|source| TelemetryError::Exporter { endpoint: endpoint.to_owned(), source })
}

/// A client for threads without a tokio runtime.
#[derive(Debug)]
struct OnRuntime {
    runtime: Handle,
    client: HyperClient,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        // If the runtime has ended, the task is cancelled, which is an ordinary error.
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}
