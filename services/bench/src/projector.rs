//! `tidings-bench projector`: the real projector beside a bare relay that consumes, publishes and acknowledges on the
//! same streams ([`crate::relay`]), and what only a projector does: projecting a backlog, rebuilding, and taking
//! over.

mod backlog;
mod latency;
mod rates;
mod rebuild;
mod replicas;
mod takeover;

use crate::arguments::{ClusterOptions, ProjectorOptions};
use crate::failure::Failure;
use crate::report::Report;

/// Runs the benchmark.
pub(crate) async fn run(options: &ProjectorOptions, report: &mut Report) -> Result<(), Failure> {
    let ([one, many], rate) = rates::measure(options).await?;
    report.add(one);
    report.add(many);
    report.add(Box::pin(latency::measure(options, rate / 10.0)).await?);
    report.add(backlog::measure(options).await?);
    report.add(Box::pin(rebuild::measure(options)).await?);
    report.add(takeover::measure(options).await?);
    Ok(())
}

/// Measures three replicas beside one.
pub(crate) async fn replicas(options: &ClusterOptions, report: &mut Report) -> Result<(), Failure> {
    replicas::measure(options, report).await
}
