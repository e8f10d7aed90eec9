//! Events per second with three replicas of everything beside one, each beside a bare relay on the same servers.

use crate::arguments::ClusterOptions;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::population::{notification, write_events};
use crate::report::{Report, Section, Subject, median, number, progress, spread};

use super::rates::{Kind, Load, Task, USERS, Worker, take_turns};

const COLUMNS: &[&str] = &["events", "envelopes/s", "± %", "× the relay", "± %", "× on one server", "± %"];
/// The number of servers, each with a replica.
const REPLICAS: [usize; 2] = [1, 3];

/// Servers, and the workers on them: first the relay, then the projector.
struct Site {
    replicas: usize,
    deployment: Deployment,
    workers: [Worker; 2],
}

pub(super) async fn measure(options: &ClusterOptions, report: &mut Report) -> Result<(), Failure> {
    let ClusterOptions { events, bytes, rounds } = *options;
    let mut sites = Vec::new();
    for replicas in REPLICAS {
        let workers =
            [Kind::Relay { task: Task::Single, in_batches: false }, Kind::Projector].map(Worker::new);
        let deployment = Deployment::replicated(replicas).await?;
        sites.push(Site { replicas, deployment, workers });
    }
    progress(&format!("{events} events of {bytes} bytes, on one server and on three"));
    for _ in 0..rounds {
        for Site { deployment, workers, .. } in &mut sites {
            deployment.purge("EVENTS").await?;
            let payloads = (0..events).map(|index| notification(index, USERS, bytes));
            write_events(deployment, "notification.created", payloads).await?;
            take_turns(deployment, workers, Load { events, envelopes: events }, 1).await?;
        }
    }
    report.add(section(&sites, events, bytes));
    Ok(())
}

fn section(sites: &[Site], events: u64, bytes: usize) -> Section {
    let mut section = Section::new("Three replicas beside one", COLUMNS);
    for Site { replicas, workers, .. } in sites {
        let [relay, projector] = workers;
        let names = [(Subject::Comparison, "bare relay"), (Subject::Tidings, "projector")];
        let first = sites.first().map_or(workers, |site| &site.workers);
        for ((worker, alone), (subject, name)) in [relay, projector].into_iter().zip(first).zip(names) {
            let beside_relay = ratios(&worker.rates, &relay.rates);
            let alone = ratios(&worker.rates, &alone.rates);
            let values = [
                number(events),
                median(worker.rates.clone()),
                spread(&worker.rates),
                median(beside_relay.clone()),
                spread(&beside_relay),
                median(alone.clone()),
                spread(&alone),
            ];
            section.row_of(subject, format!("{name}, servers: {replicas}"), values.map(Some));
        }
    }
    section.note(format!(
        "events of {bytes} bytes for {USERS} users in turns; the servers share this machine's disk"
    ));
    section.note("×: the median of the rounds' ratios");
    section
}

/// The ratios by round.
fn ratios(own: &[f64], others: &[f64]) -> Vec<f64> {
    own.iter().zip(others).map(|(own, other)| own / other).collect()
}
