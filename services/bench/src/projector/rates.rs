//! How many events in a second, and how many envelopes where an event becomes many.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use crate::Failure;
use crate::arguments::ProjectorOptions;
use crate::deployment::Deployment;
use crate::plot::Plot;
use crate::population::{body, notification, user, write_events};
use crate::process::{Process, own};
use crate::report::{Section, Subject, each, median, number, progress, rate, spread};
use crate::usage::Stopwatch;

const COLUMNS: &[&str] = &[
    "events",
    "envelopes",
    "envelopes/s",
    "± %",
    "× the relay",
    "CPU µs/envelope",
    "nats-server µs/envelope",
];
/// Users whom events for one address go to, in turns.
pub(super) const USERS: u64 = 1_000;
/// Bytes of the messages that go to many.
const BODY: usize = 256;
const POLL: Duration = Duration::from_millis(10);

/// The section, and the bare relay's events per second.
pub(super) async fn measure(options: &ProjectorOptions) -> Result<(Section, f64), Failure> {
    let mut section = Section::new("The projector beside a bare relay", COLUMNS);
    section.plot = Some(Plot::of(&["× the relay"]).target(0.8, "target ≥ 0.8, to many ≥ 0.9"));
    let deployment = Deployment::start(1_000).await?;

    let singles = Load { events: options.events, envelopes: options.events };
    progress(&format!("{} events of {} bytes for one address each", options.events, options.bytes));
    let mut workers = [
        Worker::relay(RelayTask::Single, false),
        Worker::relay(RelayTask::Single, true),
        Worker::projector(),
    ];
    for _ in 0..options.rounds {
        deployment.purge("EVENTS").await?;
        let payloads = (0..options.events).map(|index| notification(index, USERS, options.bytes));
        write_events(&deployment, "notification.created", payloads).await?;
        take_turns(&deployment, &mut workers, singles, options).await?;
    }
    let relay = add(&mut section, "one address", &workers, singles);

    let many = Load { events: options.broadcasts, envelopes: options.broadcasts * options.addresses };
    progress(&format!("{} events for {} addresses each", options.broadcasts, options.addresses));
    let mut workers = [Worker::relay(RelayTask::Broadcast, false), Worker::projector()];
    for _ in 0..options.rounds {
        deployment.purge("EVENTS").await?;
        let payload = broadcast(options.addresses);
        let payloads = (0..options.broadcasts).map(|_| payload.clone());
        write_events(&deployment, "broadcast.made", payloads).await?;
        take_turns(&deployment, &mut workers, many, options).await?;
    }
    add(&mut section, &format!("{} addresses", options.addresses), &workers, many);
    section.note(format!("one address: events of {} bytes; many: messages of {BODY} bytes", options.bytes));
    section.note("the relay parses nothing, and knows its subjects and messages before");
    section.note("fenced: with the headers by which NATS checks the order of the projector's envelopes");
    section
        .note("from the first envelope that is stored to the last; processes take turns on the same events");
    Ok((section, relay))
}

/// An event for the first so many users.
fn broadcast(addresses: u64) -> Bytes {
    let users: Vec<String> = (0..addresses).map(user).collect();
    let body: serde_json::Value = serde_json::from_slice(&body(BODY)).unwrap_or_default();
    json!({ "users": users, "data": body["data"] }).to_string().into()
}

/// What each worker finds in each round.
#[derive(Clone, Copy)]
struct Load {
    events: u64,
    envelopes: u64,
}

#[derive(Clone, Copy)]
enum RelayTask {
    Single,
    Broadcast,
}

#[derive(Clone, Copy)]
enum Kind {
    Relay { task: RelayTask, is_fenced: bool },
    Projector,
}

/// A process that empties `EVENTS`, and how it did.
struct Worker {
    kind: Kind,
    rates: Vec<f64>,
    costs: Vec<[f64; 2]>,
}

impl Worker {
    fn relay(task: RelayTask, is_fenced: bool) -> Self {
        Self { kind: Kind::Relay { task, is_fenced }, rates: Vec::new(), costs: Vec::new() }
    }

    fn projector() -> Self {
        Self { kind: Kind::Projector, rates: Vec::new(), costs: Vec::new() }
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Relay { is_fenced: false, .. } => "bare relay",
            Kind::Relay { is_fenced: true, .. } => "bare relay, fenced",
            Kind::Projector => "projector",
        }
    }

    fn start(&self, deployment: &Deployment, consumer: &str, addresses: u64) -> Result<Process, Failure> {
        let Kind::Relay { task, is_fenced } = self.kind else { return deployment.projector(consumer) };
        let mut command = own(&["relay", "--nats", deployment.server.url(), "--consumer", consumer])?;
        match task {
            RelayTask::Single => command.args(["--users", &USERS.to_string()]),
            RelayTask::Broadcast => {
                command.args(["--users", &addresses.to_string(), "--broadcast", &BODY.to_string()])
            }
        };
        if is_fenced {
            command.arg("--headers");
        }
        Process::start(command, None)
    }
}

async fn take_turns(
    deployment: &Deployment,
    workers: &mut [Worker],
    load: Load,
    options: &ProjectorOptions,
) -> Result<(), Failure> {
    for worker in workers {
        deployment.purge("ENVELOPES").await?;
        let before = deployment.topology.extent().await?.last;
        // A durable consumer of its own, as each begins at the first event.
        let consumer = format!("worker-{before}");
        let mut process = worker.start(deployment, &consumer, options.addresses)?;
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

/// Waits until `ENVELOPES` reaches this sequence, and says which it has reached.
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

/// Adds a row for each worker and returns the first one's rate.
fn add(section: &mut Section, what: &str, workers: &[Worker], load: Load) -> f64 {
    let relay = workers.first().map_or(f64::NAN, |worker| median(worker.rates.clone()));
    for worker in workers {
        let subject = match worker.kind {
            Kind::Projector => Subject::Tidings,
            Kind::Relay { .. } => Subject::Comparison,
        };
        let envelopes = median(worker.rates.clone());
        let cost = |process: usize| median(worker.costs.iter().map(|costs| costs[process]).collect());
        let values = [
            number(load.events),
            number(load.envelopes),
            envelopes,
            spread(&worker.rates),
            envelopes / relay,
            cost(0),
            cost(1),
        ];
        section.row_of(subject, format!("{}, {what}", worker.name()), values.map(Some));
    }
    relay
}
