//! `tidings-bench fanout`: the cost of a delivered message in the gateway, and the memory of a connection.
//!
//! The reference is a bare loop of writes ([`crate::limit`]), which no server that writes to sockets can beat. Both
//! have one core to themselves, in turns; nats-server and the clients have the others.

mod cost;
mod idle;
mod memory;
mod metrics;
mod scale;
mod scene;
mod stalled;

use clap::{Args, ValueEnum};

use crate::affinity::Cores;
use crate::failure::Failure;
use crate::report::Report;

/// A part of `fanout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Processor time of a delivered message beside the limit
    Cost,
    /// Memory of a connection, idle and after messages
    Memory,
    /// Memory of an idle connection: a WebSocket, an event stream, a request that waits
    Idle,
    /// Processor time for more connections and more addresses
    Scale,
    /// Latency of the others when some never read
    Stalled,
    /// Processor time while figures are read, beside that while they are not
    Metrics,
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measure only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
    /// Connections at one address
    #[arg(long, default_value_t = 5_000)]
    pub(crate) connections: u64,
    /// Messages that are pending for a connection when it is written to
    #[arg(long, value_delimiter = ',', default_value = "1,4,16")]
    pub(crate) pending: Vec<u64>,
    /// Writes to each connection in a round
    #[arg(long, default_value_t = 60)]
    pub(crate) writes: u64,
    /// How many times everything is measured in turns; the median counts
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Bytes of a message's body
    #[arg(long, default_value_t = 256)]
    pub(crate) body: usize,
    /// Connections whose memory is measured
    #[arg(long, value_delimiter = ',', default_value = "10000,18000")]
    pub(crate) held: Vec<u64>,
    /// Messages that each of them receives
    #[arg(long, default_value_t = 1_000)]
    pub(crate) received: u64,
    /// Connections of each form whose memory is compared
    #[arg(long, default_value_t = 10_000)]
    pub(crate) idle: u64,
    /// Numbers of connections to compare
    #[arg(long, value_delimiter = ',', default_value = "1000,5000,18000")]
    pub(crate) crowds: Vec<u64>,
    /// Numbers of addresses to compare, over which the connections spread
    #[arg(long, value_delimiter = ',', default_value = "1,100,10000")]
    pub(crate) addresses: Vec<u64>,
    /// Messages delivered for each of these comparisons
    #[arg(long, default_value_t = 300_000)]
    pub(crate) delivered: u64,
    /// One in this many connections never reads
    #[arg(long, default_value_t = 10)]
    pub(crate) stalled: u64,
}

/// Runs the selected parts.
pub(crate) async fn run(options: &Options, report: &mut Report) -> Result<(), Failure> {
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let cores = Cores::divide()?;
    cores.leave_measured()?;
    if wanted(Part::Cost) {
        report.add(cost::measure(options, &cores).await?);
    }
    if wanted(Part::Memory) {
        report.add(memory::measure(options, &cores).await?);
    }
    if wanted(Part::Idle) {
        report.add(idle::measure(options, &cores).await?);
    }
    if wanted(Part::Scale) {
        report.add(scale::measure(options, &cores).await?);
    }
    if wanted(Part::Stalled) {
        report.add(Box::pin(stalled::measure(options, &cores)).await?);
    }
    if wanted(Part::Metrics) {
        report.add(Box::pin(metrics::measure(options, &cores)).await?);
    }
    Ok(())
}
