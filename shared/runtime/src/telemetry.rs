//! Logs to standard error, and traces to an OpenTelemetry collector where one is configured.
//!
//! Observing never harms what is observed: a collector that is absent, slow or gone costs dropped spans and a log line,
//! never a wait or an end of the process, and the flush at the end has a bound. The only global state is the `tracing`
//! subscriber, set once by [`start`].

mod export;
mod fields;

pub use tidings_propagation as propagation;

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogFormat, TelemetryConfig};

/// Traces have Tidings' own spans only: those of libraries are theirs, and the exporter's own would feed on themselves.
const TRACED_TARGETS: &str = "tidings";

/// Why telemetry could not start or end.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `telemetry.log` is not a filter; a loaded configuration never has that.
    #[error("telemetry.log = {log:?} is not a log filter such as info or warn,tidings_gateway=debug")]
    Filter {
        /// The text.
        log: String,
        /// Where it goes wrong.
        #[source]
        source: ParseError,
    },
    /// The exporter refuses its settings.
    #[error("traces cannot be exported to telemetry.otlp_endpoint = {endpoint:?}")]
    Exporter {
        /// The collector.
        endpoint: String,
        /// Why.
        #[source]
        source: ExporterBuildError,
    },
    /// Exporting needs a tokio runtime to run on.
    #[error("telemetry with an otlp_endpoint was started outside of a tokio runtime; start it within one")]
    NoRuntime,
    /// This process has a subscriber already, which stays as it is.
    #[error("telemetry was started before in this process; start it once, in main")]
    AlreadyStarted,
    /// The last spans did not reach the collector.
    #[error("the last spans were not exported within {bound:?} and are lost")]
    NotFlushed {
        /// The time they had.
        bound: Duration,
        /// Why.
        #[source]
        source: OTelSdkError,
    },
}

/// Keeps telemetry running; end it with [`Guard::shutdown`]. Dropping it instead blocks its thread for up to 5 seconds.
#[must_use = "telemetry ends when it is dropped"]
#[derive(Debug)]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
}

impl Guard {
    /// Exports what is left within `bound`; call it last, on a runtime that still runs.
    pub async fn shutdown(self, bound: Duration) -> Result<(), TelemetryError> {
        let Some(provider) = self.provider else {
            return Ok(());
        };
        // It blocks, while the export that it waits for needs this runtime.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(bound)).await;
        ended
            .unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())))
            .map_err(|source| TelemetryError::NotFlushed { bound, source })
    }
}

/// Begins logging and, if `config` names a collector, tracing under `service_name` (`service.name` of OpenTelemetry).
pub fn start(config: &TelemetryConfig, service_name: &'static str) -> Result<Guard, TelemetryError> {
    let (dispatch, guard) = build(config, service_name)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| TelemetryError::AlreadyStarted)?;
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
    Ok((Dispatch::new(subscriber), Guard { provider }))
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

/// Each event on a line of its own, whatever is in its fields.
fn lines<S, W>(format: LogFormat, is_terminal: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // Whoever read the log may have gone, as `head` does; a complaint about that would go the same way, and panic.
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
        .with_resource(Resource::builder().with_service_name(service_name).build())
        .build())
}

#[cfg(test)]
mod tests;
