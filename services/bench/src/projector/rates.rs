//! Events per second, and envelopes per second where an event becomes many.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tidings_model::json;

use crate::arguments::ProjectorOptions;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::population::{body, notification, user, write_events};
use crate::process::{Process, own};
use crate::report::Plot;
use crate::report::{Section, Subject, each, median, number, progress, rate, spread};
use crate::usage::Stopwatch;

const COLUMNS: &[&str] = &[
    "events",
    "envelopes",
    "envelopes/s",
    "± %",
    "× the relay",
    "± %",
    "CPU µs/envelope",
    "nats-server µs/envelope",
    "CPU × the relay",
];
const PLOTTED: &[&str] = &["× the relay"];
/// The number of users that events for one address are sent to, in turns.
pub(super) const USERS: u64 = 1_000;
/// Bytes of messages to many addresses.
const BODY: usize = 256;
const POLL: Duration = Duration::from_millis(10);

/// The sections, and the bare relay's events per second.
pub(super) async fn measure(options: &ProjectorOptions) -> Result<([Section; 2], f64), Failure> {
    let ProjectorOptions { events, bytes, broadcasts, addresses, rounds, .. } = *options;
    let deployment = Deployment::start(1_000).await?;

    progress(&format!("{events} events of {bytes} bytes for one address each"));
    let load = Load { events, envelopes: events };
    let mut workers = Task::Single.beside_projector();
    for _ in 0..rounds {
        deployment.purge("EVENTS").await?;
        let payloads = (0..events).map(|index| notification(index, USERS, bytes));
        write_events(&deployment, "notification.created", payloads).await?;
        take_turns(&deployment, &mut workers, load, addresses).await?;
    }
    let target = Plot::of(PLOTTED).target(0.8, "target ≥ 0.8");
    let (mut one, relay) = section("Events that become one envelope each", target, &workers, load);
    one.note(format!("events of {bytes} bytes for {USERS} users in turns"));

    progress(&format!("{broadcasts} events for {addresses} addresses each"));
    let load = Load { events: broadcasts, envelopes: broadcasts * addresses };
    let mut workers = Task::Broadcast.beside_projector();
    let payload = broadcast(addresses)?;
    for _ in 0..rounds {
        deployment.purge("EVENTS").await?;
        let payloads = (0..broadcasts).map(|_| payload.clone());
        write_events(&deployment, "broadcast.made", payloads).await?;
        take_turns(&deployment, &mut workers, load, addresses).await?;
    }
    let target = Plot::of(PLOTTED).target(0.9, "target ≥ 0.9");
    let title = format!("Events that become {addresses} envelopes each");
    let (mut many, _) = section(&title, target, &workers, load);
    many.note(format!("messages of {BODY} bytes"));
    Ok(([one, many], relay))
}

/// An event for the first `addresses` users.
fn broadcast(addresses: u64) -> Result<Bytes, Failure> {
    let users: Vec<String> = (0..addresses).map(user).collect();
    let body = json::parse(&body(BODY))?;
    Ok(json!({ "users": users, "data": body["data"] }).to_string().into())
}

/// The load of each worker in each round.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) events: u64,
    pub(super) envelopes: u64,
}

/// What a relay does with an event.
#[derive(Clone, Copy)]
pub(super) enum Task {
    Single,
    Broadcast,
}

impl Task {
    /// The compared workers; the first is the reference.
    fn beside_projector(self) -> [Worker; 3] {
        let relay = |in_batches| Kind::Relay { task: self, in_batches };
        [relay(false), relay(true), Kind::Projector].map(Worker::new)
    }
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Relay { task: Task, in_batches: bool },
    Projector,
}

impl Kind {
    fn describe(self) -> (Subject, &'static str) {
        match self {
            Self::Relay { in_batches: false, .. } => (Subject::Comparison, "bare relay"),
            Self::Relay { in_batches: true, .. } => (Subject::Comparison, "bare relay, in batches"),
            Self::Projector => (Subject::Tidings, "projector"),
        }
    }
}

/// A process that consumes `EVENTS`, and its results.
pub(super) struct Worker {
    kind: Kind,
    pub(super) rates: Vec<f64>,
    costs: Vec<[f64; 2]>,
}

impl Worker {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, rates: Vec::new(), costs: Vec::new() }
    }

    fn start(&self, deployment: &Deployment, consumer: &str, addresses: u64) -> Result<Process, Failure> {
        let Kind::Relay { task, in_batches } = self.kind else { return deployment.projector(consumer) };
        let mut command = own(&["relay", "--nats", deployment.server.url(), "--consumer", consumer])?;
        match task {
            Task::Single => command.args(["--users", &USERS.to_string()]),
            Task::Broadcast => {
                command.args(["--users", &addresses.to_string(), "--broadcast", &BODY.to_string()])
            }
        };
        if in_batches {
            command.arg("--headers");
        }
        Process::start(command, None)
    }
}

pub(super) async fn take_turns(
    deployment: &Deployment,
    workers: &mut [Worker],
    load: Load,
    addresses: u64,
) -> Result<(), Failure> {
    for worker in workers {
        deployment.purge("ENVELOPES").await?;
        let before = deployment.topology.extent().await?.last;
        // A durable consumer of its own, so that each starts at the first event.
        let consumer = format!("worker-{before}");
        let mut process = worker.start(deployment, &consumer, addresses)?;
        let (used, server) = (Stopwatch::start(process.pid)?, Stopwatch::start(deployment.server_pid()?)?);
        let first = until(deployment, &mut process, before + 1).await?;
        let began = Instant::now();
        let last = until(deployment, &mut process, before + load.envelopes).await?;
        worker.rates.push(rate(last - first, began.elapsed()));
        worker.costs.push([each(used.read()?, load.envelopes), each(server.read()?, load.envelopes)]);
        process.kill().await?;
        deployment.forget_consumer(&consumer).await?;
    }
    Ok(())
}

/// Waits until `ENVELOPES` reaches this sequence, and returns the last one.
pub(super) async fn until(
    deployment: &Deployment,
    process: &mut Process,
    sequence: u64,
) -> Result<u64, Failure> {
    loop {
        let last = deployment.topology.extent().await?.last;
        if last >= sequence {
            return Ok(last);
        }
        process.check()?;
        tokio::time::sleep(POLL).await;
    }
}

/// The section of the workers' results, and the first one's rate.
fn section(title: &str, plot: Plot, workers: &[Worker], load: Load) -> (Section, f64) {
    let mut section = Section::new(title, COLUMNS);
    section.plot = Some(plot);
    let Some(relay) = workers.first() else { return (section, f64::NAN) };
    for worker in workers {
        let (subject, name) = worker.kind.describe();
        // By round: other load on the machine changes less between turns than between rounds.
        let ratios: Vec<f64> =
            worker.rates.iter().zip(&relay.rates).map(|(own, relay)| own / relay).collect();
        let cost = |process: usize| median(worker.costs.iter().map(|costs| costs[process]).collect());
        let totals = worker.costs.iter().zip(&relay.costs);
        let cost_ratio = totals.map(|(own, relay)| own.iter().sum::<f64>() / relay.iter().sum::<f64>());
        let values = [
            number(load.events),
            number(load.envelopes),
            median(worker.rates.clone()),
            spread(&worker.rates),
            median(ratios.clone()),
            spread(&ratios),
            cost(0),
            cost(1),
            median(cost_ratio.collect()),
        ];
        section.row_of(subject, name, values.map(Some));
    }
    section.note("the relay parses nothing, and knows its subjects and messages before");
    section.note("in batches: as the projector writes, so that NATS checks the order of its envelopes");
    section
        .note("from the first envelope that is stored to the last; processes take turns on the same events");
    section.note("×: the median of the rounds' ratios; where it scatters much, only CPU compares");
    (section, median(relay.rates.clone()))
}
