//! The whole on three nats-servers while everything that can break does: what is promised holds, whatever fails.
//!
//! Two projectors of the first shard and one of the second, two gateways, each connected to each nats-server through a
//! cable of its own; producers and devices of several tenants; and one fault after another, drawn from a seed. What
//! every device saw is compared with what was acknowledged to the producers. The table that this prints stands in
//! `tests/README.md`.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers fail a test by panicking"
)]

mod deployment;
mod device;
mod fault;
mod ledger;
mod producer;
mod report;
mod view;

use std::sync::Arc;
use std::time::Duration;

use deployment::Deployment;
use fault::Faults;
use ledger::Ledger;
use report::Report;
use tokio::time::{Instant, timeout};

/// Seconds of faults where nothing else is said; `TIDINGS_FAULTS_SECONDS` says something else.
const SECONDS: u64 = 40;
/// How long it may take until every device has everything when nothing fails any more.
const RECOVERY: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_nothing_is_lost_or_out_of_order_and_everything_goes_on() {
    let seconds = variable("TIDINGS_FAULTS_SECONDS").unwrap_or(SECONDS);
    let seed = variable("TIDINGS_FAULTS_SEED").unwrap_or(1);
    let mut deployment = Deployment::start().await;
    let ledger = Arc::new(Ledger::default());
    let devices = device::start(&ledger, &deployment, seed);
    let producers = producer::start(&ledger, &deployment, seed).await;

    let mut report = Report::default();
    let mut faults = Faults::new(seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        report.add(faults.next(&mut deployment, &ledger).await);
    }
    producers.stop().await;
    devices.settle();
    // What is missing after this time is what the report says.
    let _ = timeout(RECOVERY, devices.complete(&ledger)).await;
    report.conclude(seed, &ledger, &devices.stop().await);
    deployment.check();
    assert_eq!(report.violations(), Vec::<String>::new(), "with seed {seed}");
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a whole number")))
}
