//! All users return at once, handshakes included: to a gateway that was just restarted, and to servers that read from
//! a JetStream consumer per user.

use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use tidings_model::{Address, Position};

use crate::arguments::OfflineOptions;
use crate::client::{Returned, Returning, return_all};
use crate::deployment::{Deployment, token};
use crate::failure::Failure;
use crate::per_user;
use crate::population::{body, user, write_consumers, write_envelopes};
use crate::process::{Running, free_address, own};
use crate::report::Plot;
use crate::report::{
    Section, Subject, each, median, megabytes, milliseconds, number, progress, quantile, rate, spread,
};
use crate::usage::{Stopwatch, resident};

/// Absent users, with the envelopes that they missed.
pub(crate) struct Away {
    pub(crate) deployment: Deployment,
    pub(crate) stream: Stream,
    users: Vec<Returning>,
    /// The position of all users.
    pub(crate) position: Position,
}

impl Away {
    /// Writes the envelopes in turns, so that one user's are scattered over the stream, or together if requested.
    pub(crate) async fn prepare(options: &OfflineOptions) -> Result<Self, Failure> {
        let OfflineOptions { users, missed, .. } = *options;
        progress(&format!("{users} users miss {missed} envelopes each"));
        let deployment = Deployment::start(2 * users.max(500)).await?;
        let mut addresses = Vec::new();
        for index in 0..users {
            addresses.push(Address::new("user", &user(index))?);
        }
        let body = body(options.body);
        let first = if options.together {
            let rows = addresses.iter().flat_map(|address| (0..missed).map(|_| address.clone()));
            write_envelopes(&deployment, rows, &body).await?
        } else {
            let turns = (0..missed).flat_map(|_| addresses.iter().cloned());
            write_envelopes(&deployment, turns, &body).await?
        };
        let epoch = deployment.topology.extent().await?.epoch;
        let mut returning = Vec::new();
        for index in 0..users {
            let token = token(&user(index))?;
            let (first, step) =
                if options.together { (first + index * missed, 1) } else { (first + index, users) };
            returning.push(Returning { token, first, step, count: missed });
        }
        let stream = per_user::envelopes(&deployment.client).await?;
        let position = Position { epoch, sequence: first - 1 };
        Ok(Self { deployment, stream, users: returning, position })
    }

    fn some(&self, count: u64) -> Vec<Returning> {
        self.users.iter().take(usize::try_from(count).unwrap_or(usize::MAX)).cloned().collect()
    }
}

const COLUMNS: &[&str] = &[
    "users",
    "users/s",
    "± %",
    "p50 ms",
    "p99 ms",
    "server CPU µs/user",
    "JetStream CPU µs/user",
    "JetStream MB",
    "Tidings is × faster",
];

pub(crate) async fn measure(options: &OfflineOptions, away: &Away) -> Result<Section, Failure> {
    let title = format!("{} missed envelopes each, handshakes included", options.missed);
    let mut section = Section::new(title, COLUMNS);
    section.plot = Some(Plot::of(&["users/s"]).logarithmic());

    progress("all users return to a restarted gateway");
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        rounds.push(to_gateway(options, away).await?);
    }
    let ours = Round::add(&rounds, "gateway, just restarted", None, &mut section);

    progress("some return to a fresh JetStream consumer each");
    let fresh = to_comparison(options, away, "fresh", options.compared.min(options.users)).await?;
    Round::add(&[fresh], "a fresh JetStream consumer each", Some(ours), &mut section);

    let durables = options.durables.min(options.users);
    progress(&format!("creating {durables} durable JetStream consumers"));
    per_user::create_durables(&away.stream, durables).await?;
    progress("their users return");
    let durable = to_comparison(options, away, "durable", options.compared.min(durables)).await?;
    Round::add(&[durable], "a durable JetStream consumer each", Some(ours), &mut section);
    section.note(format!(
        "{} users returning at any moment; users per second include the load client on the same {} cores",
        options.under_way,
        std::thread::available_parallelism()?
    ));
    let order = if options.together { "together" } else { "scattered over the stream" };
    section.note(format!(
        "what one user missed lies {order}; {durables} users have durable JetStream consumers"
    ));
    section.note("the comparison server looks up no position, records no presence and delivers nothing live");
    Ok(section)
}

/// The result of one return of all users.
struct Round {
    users: u64,
    elapsed: Duration,
    median: Duration,
    p99: Duration,
    server: Duration,
    jetstream: Duration,
    jetstream_resident: u64,
}

async fn to_gateway(options: &OfflineOptions, away: &Away) -> Result<Round, Failure> {
    let all = (0..options.users).map(user);
    // A gateway ran before and was killed, so that this start is a restart.
    away.deployment.gateway(options.hot_tail).await?.kill().await?;
    write_consumers(&away.deployment, all, away.position).await?;
    let gateway = away.deployment.gateway(options.hot_tail).await?;
    let round = Round::of(options, away, &gateway, options.users).await?;
    gateway.kill().await?;
    Ok(round)
}

async fn to_comparison(
    options: &OfflineOptions,
    away: &Away,
    source: &str,
    users: u64,
) -> Result<Round, Failure> {
    let server = comparison(away, source, options.missed).await?;
    let round = Round::of(options, away, &server, users).await?;
    server.kill().await?;
    Ok(round)
}

async fn comparison(away: &Away, source: &str, missed: u64) -> Result<Running, Failure> {
    let (address, nats) = (free_address()?, away.deployment.server.url());
    let (listen, missed) = (address.to_string(), missed.to_string());
    let command =
        own(&["comparison", "--nats", nats, "--source", source, "--listen", &listen, "--missed", &missed])?;
    Running::start(command, address, None).await
}

impl Round {
    async fn of(
        options: &OfflineOptions,
        away: &Away,
        server: &Running,
        users: u64,
    ) -> Result<Self, Failure> {
        let jetstream = away.deployment.server_pid()?;
        let (ours, theirs) = (Stopwatch::start(server.pid)?, Stopwatch::start(jetstream)?);
        let Returned { elapsed, times, connections } =
            return_all(server.address, away.some(users), options.under_way).await?;
        let round = Self {
            users,
            elapsed,
            median: quantile(&times, 0.5),
            p99: quantile(&times, 0.99),
            server: ours.read()?,
            jetstream: theirs.read()?,
            jetstream_resident: resident(jetstream)?,
        };
        drop(connections);
        Ok(round)
    }

    /// Adds the median of the rounds as a row and returns its rate.
    fn add(rounds: &[Self], name: &str, ours: Option<f64>, section: &mut Section) -> f64 {
        let of = |value: fn(&Self) -> f64| median(rounds.iter().map(value).collect());
        let rates: Vec<f64> = rounds.iter().map(|round| rate(round.users, round.elapsed)).collect();
        let users = median(rates.clone());
        let values = [
            of(|round| number(round.users)),
            users,
            spread(&rates),
            of(|round| milliseconds(round.median)),
            of(|round| milliseconds(round.p99)),
            of(|round| each(round.server, round.users)),
            of(|round| each(round.jetstream, round.users)),
            of(|round| megabytes(round.jetstream_resident)),
        ];
        progress(&format!("{name}: {users:.0} users/s"));
        let one = rounds.len() < 2;
        let values =
            values.into_iter().enumerate().map(|(index, value)| (!(one && index == 2)).then_some(value));
        let subject = if ours.is_some() { Subject::Comparison } else { Subject::Tidings };
        section.row_of(subject, name, values.chain([ours.map(|ours| ours / users)]));
        users
    }
}
