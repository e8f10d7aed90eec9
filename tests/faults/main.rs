//! The whole on three nats-servers while everything that can break does: what is promised holds, whatever fails.
//!
//! Two projectors of the first shard and one of the second, two gateways, each connected to each nats-server through a
//! cable of its own, as the nats-servers are to each other; producers, over NATS and over HTTP, and devices of several
//! tenants; and one fault after another, drawn from a seed. What every device saw is compared with what was acknowledged to
//! the producers. The table that this prints stands in `tests/README.md`.

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
mod memory;
mod options;
mod producer;
mod report;
mod servers;
mod view;

use std::sync::Arc;
use std::time::Duration;

use deployment::{Deployment, TENANTS};
use fault::Faults;
use harness::within;
use ledger::Ledger;
use options::Options;
use report::Report;
use tokio::time::{Instant, timeout};
use view::Wrong;

/// How long it may take until every device has everything when nothing fails any more.
const RECOVERY: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_nothing_is_lost_or_out_of_order_and_everything_goes_on() {
    let options = Options::read();
    let mut deployment = Deployment::start().await;
    let ledger = Arc::new(Ledger::default());
    let devices = device::start(&ledger, &deployment, options.seed);
    let producers = producer::start(&ledger, &deployment, options.seed).await;

    let (mut report, start) = (Report::default(), Instant::now());
    let mut faults = Faults::new(options);
    while report.faults() < options.faults && start.elapsed() < options.time {
        report.memory(deployment.processes());
        match faults.next(&mut deployment, &ledger).await {
            Ok(outcome) => report.add(outcome, start.elapsed()),
            Err(hung) => {
                report.wrong(Wrong::Hung, hung);
                break;
            }
        }
    }
    tokio::time::sleep(options.quiet()).await;
    report.memory(deployment.processes());
    match timeout(RECOVERY, producers.stop()).await {
        Ok(refused) => refused.into_iter().for_each(|why| report.wrong(Wrong::Lost, why)),
        Err(_) => {
            report.wrong(Wrong::Hung, "producers still wait for their last events to be stored".into());
        }
    }
    for tenant in TENANTS {
        faults.leave_nothing_under_way();
        if let Err(error) = rebuild(&deployment, tenant).await {
            report.wrong(Wrong::Hung, error);
        }
    }
    devices.settle();
    devices.complete(&ledger, RECOVERY).await;
    for ended in deployment.ended() {
        report.wrong(Wrong::Ended, ended);
    }
    report.conclude(options.seed, start.elapsed(), &ledger, &devices.stop().await);
    if !report.violations().is_empty() {
        let folder = deployment.keep();
        panic!("with {options:?}; stores and logs are in {folder}: {:#?}", report.violations());
    }
}

/// Whatever was under way ends, and a tenant can be rebuilt after all that has happened.
async fn rebuild(deployment: &Deployment, tenant: &str) -> Result<(), String> {
    within(&format!("tenant {tenant} is rebuilt"), RECOVERY, async || {
        let command = deployment.command(&["projector", "rebuild", "--tenant", tenant]);
        let (status, output) = command.end(RECOVERY).await;
        if status.success() { Ok(()) } else { Err(output) }
    })
    .await
}
