//! Logs to standard error; traces and metrics to an OpenTelemetry collector if one is configured.
//!
//! Telemetry never blocks or ends the process: if the collector is absent or slow, spans are dropped, metrics are sent
//! the next time, and a line is logged. The flush at the end is bounded. The only global state is the `tracing` subscriber, which [`start`] sets
//! once.

mod export;
mod fields;
mod metrics;

pub use tidings_propagation as propagation;

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tidings_metrics::Registry;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

use self::metrics::MetricsExport;
use crate::config::{LogFormat, TelemetryConfig};

/// Only Tidings' own spans are traced. The exporter's spans would be exported by further spans without end.
const TRACED_TARGETS: &str = "tidings";

/// Why telemetry cannot start or end.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `telemetry.log` is not a filter. This never happens with a loaded configuration.
    #[error("telemetry.log = {log:?} is not a log filter such as info or warn,tidings_gateway=debug")]
    Filter {
        /// The configured text.
        log: String,
        /// The parser's error.
        #[source]
        source: ParseError,
    },
    /// The exporter refuses its settings.
    #[error("traces cannot be exported to telemetry.otlp_endpoint = {endpoint:?}")]
    Exporter {
        /// The collector's URL.
        endpoint: String,
        /// The exporter's error.
        #[source]
        source: ExporterBuildError,
    },
    /// The exporter needs a tokio runtime.
    #[error("telemetry with an otlp_endpoint was started outside of a tokio runtime; start it within one")]
    NoRuntime,
    /// The process already has a subscriber, which stays unchanged.
    #[error("telemetry was started before in this process; start it once, in main")]
    AlreadyStarted,
    /// The last spans were not exported.
    #[error("the last spans were not exported within {bound:?} and are lost")]
    NotFlushed {
        /// The time limit.
        bound: Duration,
        /// The exporter's error.
        #[source]
        source: OTelSdkError,
    },
}

/// Keeps telemetry running. End it with [`Guard::shutdown`]. Dropping it blocks the thread for up to 5 seconds.
#[must_use = "telemetry ends when it is dropped"]
#[derive(Debug)]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
    metrics: Option<MetricsExport>,
}

impl Guard {
    /// Exports the remaining spans and the last figures, each within `bound`. Call it last, while the runtime is running.
    pub async fn shutdown(self, bound: Duration) -> Result<(), TelemetryError> {
        if let Some(metrics) = self.metrics {
            metrics.finish(bound).await;
        }
        let Some(provider) = self.provider else {
            return Ok(());
        };
        // The call blocks, and the export needs this runtime.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(bound)).await;
        ended
            .unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())))
            .map_err(|source| TelemetryError::NotFlushed { bound, source })
    }
}

/// Starts logging and, if `config` names a collector, sending it spans and the figures of `registry` under `service_name`
/// (`service.name` of OpenTelemetry).
pub fn start(
    config: &TelemetryConfig,
    service_name: &'static str,
    registry: &Registry,
) -> Result<Guard, TelemetryError> {
    let (dispatch, mut guard) = build(config, service_name)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| TelemetryError::AlreadyStarted)?;
    guard.metrics = MetricsExport::start(config, &resource(service_name), registry);
    Ok(guard)
}

fn build(config: &TelemetryConfig, service_name: &'static str) -> Result<(Dispatch, Guard), TelemetryError> {
    let provider = match &config.otlp_endpoint {
        Some(endpoint) => Some(tracer_provider(config, endpoint, service_name)?),
        None => None,
    };
    let traces = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(service_name))
            .with_filter(Targets::new().with_target(TRACED_TARGETS, LevelFilter::INFO))
    });
    let subscriber = tracing_subscriber::registry().with(logs(config)?).with(traces);
    Ok((Dispatch::new(subscriber), Guard { provider, metrics: None }))
}

fn logs<S>(config: &TelemetryConfig) -> Result<impl Layer<S> + use<S>, TelemetryError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let filter = EnvFilter::builder()
        .parse(&config.log)
        .map_err(|source| TelemetryError::Filter { log: config.log.clone(), source })?;
    let lines = lines(config.log_format, std::io::stderr().is_terminal(), std::io::stderr);
    let is_for_logs = filter_fn(|metadata| metadata.target() != propagation::TRACES_ONLY)
        .with_max_level_hint(LevelFilter::TRACE);
    Ok(lines.with_filter(filter.and(is_for_logs)))
}

/// Writes each event on one line, whatever its fields contain.
fn lines<S, W>(format: LogFormat, is_terminal: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // Errors of the writer are not logged: the reader of the log may have ended, as `head` does, and logging that would
    // fail in the same way and panic.
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    match format {
        LogFormat::Text => lines.with_ansi(is_terminal).fmt_fields(fields::OneLine).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

fn tracer_provider(
    config: &TelemetryConfig,
    endpoint: &str,
    service_name: &'static str,
) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = export::exporter(endpoint)?;
    let ratio = Sampler::TraceIdRatioBased(config.sample_ratio);
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(ratio)))
        .with_resource(resource(service_name))
        .build())
}

/// What a collector tells this process from others by, besides what `OTEL_RESOURCE_ATTRIBUTES` says.
fn resource(service_name: &'static str) -> Resource {
    static INSTANCE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| Uuid::now_v7().to_string());
    let attributes = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", INSTANCE.as_str()),
    ];
    Resource::builder().with_service_name(service_name).with_attributes(attributes).build()
}

#[cfg(test)]
mod tests;
