//! `tidings-bench producers`: publishing over HTTP beside publishing to JetStream itself, on the same nats-server.
//!
//! Over HTTP a gateway checks the credential, projects each event to see that it will be accepted, looks up and writes a
//! receipt where the event has an id, and publishes. What is compared does nothing but publish.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use bytes::Bytes;
use clap::Args;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tidings_access::{SigningSecret, mint};
use tidings_model::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::deployment::{Deployment, SECRET, claims};
use crate::failure::Failure;
use crate::population::{event_subject, notification, write_events};
use crate::process::Running;
use crate::report::{
    Plot, Report, Section, Subject, each, median, milliseconds, number, progress, quantile, rate, spread,
};
use crate::usage::Stopwatch;

const COLUMNS: &[&str] = &[
    "events",
    "events/s",
    "± %",
    "× JetStream",
    "gateway µs/event",
    "nats-server µs/event",
    "p50 ms",
    "p99 ms",
];
const EVENT: &str = "notification.created";
/// The number of users that events are for, in turns.
const USERS: u64 = 1_000;

/// The sizes of the benchmark.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Events in each round, for each way to publish
    #[arg(long, default_value_t = 20_000)]
    pub(crate) events: u64,
    /// Bytes of an event
    #[arg(long, default_value_t = 512)]
    pub(crate) bytes: usize,
    /// Producers at once; each waits for its answer before it sends the next request
    #[arg(long, default_value_t = 32)]
    pub(crate) producers: u64,
    /// Events of a batch
    #[arg(long, default_value_t = 100)]
    pub(crate) batch: u64,
    /// Rounds, in which all ways take turns; the median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

/// How events are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Pipelined,
    Acknowledged,
    Plain,
    CloudEvents,
    Batches,
}

const WAYS: [Way; 5] = [Way::Pipelined, Way::Acknowledged, Way::Plain, Way::CloudEvents, Way::Batches];

impl Way {
    fn describe(self, options: &Options) -> (Subject, String) {
        match self {
            Self::Pipelined => (Subject::Comparison, "JetStream, many under way".to_owned()),
            Self::Acknowledged => {
                (Subject::Comparison, format!("JetStream, {} that wait", options.producers))
            }
            Self::Plain => (Subject::Tidings, "HTTP, plain JSON".to_owned()),
            Self::CloudEvents => (Subject::Tidings, "HTTP, CloudEvents".to_owned()),
            Self::Batches => (Subject::Tidings, format!("HTTP, batches of {}", options.batch)),
        }
    }
}

/// What one way has shown.
#[derive(Debug, Default)]
struct Shown {
    rates: Vec<f64>,
    gateway: Vec<f64>,
    server: Vec<f64>,
    latencies: Vec<Duration>,
}

/// Runs the benchmark.
pub(crate) async fn run(options: &Options, report: &mut Report) -> Result<(), Failure> {
    let deployment = Deployment::start(1_000).await?;
    let unlimited = |name: &'static str, value: &str| (name, value.to_owned());
    let settings = [
        unlimited("TIDINGS_GATEWAY__PRODUCER_REQUESTS_PER_MINUTE_PER_ADDRESS", "1000000000"),
        unlimited("TIDINGS_GATEWAY__PRODUCER_REQUEST_BURST_PER_ADDRESS", "1000000"),
        unlimited("TIDINGS_GATEWAY__PRODUCER_EVENTS_PER_MINUTE", "1000000000"),
        unlimited("TIDINGS_GATEWAY__PRODUCER_EVENT_BURST", "1000000"),
    ];
    let gateway = deployment.gateway_with(&settings, None).await?;
    let bench = Bench { options, token: token()?, ids: AtomicU64::new(0), deployment, gateway };
    let mut shown: Vec<Shown> = WAYS.iter().map(|_| Shown::default()).collect();
    for round in 1..=options.rounds {
        for (way, shown) in WAYS.iter().zip(&mut shown) {
            progress(&format!("round {round}: {}", way.describe(options).1));
            bench.measure(*way, shown).await?;
        }
    }
    report.add(section(options, &mut shown));
    Ok(())
}

/// A token that may publish.
fn token() -> Result<String, Failure> {
    let mut claims = claims("producer", &[]);
    claims.insert("scope".to_owned(), json!("tidings:publish"));
    Ok(mint(&claims, &SigningSecret::new(SECRET)?)?.expose().to_owned())
}

struct Bench<'o> {
    options: &'o Options,
    token: String,
    /// No id is used twice.
    ids: AtomicU64,
    deployment: Deployment,
    gateway: Running,
}

impl Bench<'_> {
    async fn measure(&self, way: Way, shown: &mut Shown) -> Result<(), Failure> {
        let (events, server_pid) = (self.options.events, self.deployment.server_pid()?);
        self.deployment.purge("EVENTS").await?;
        let (gateway, server) = (Stopwatch::start(self.gateway.pid)?, Stopwatch::start(server_pid)?);
        let began = Instant::now();
        let mut latencies = self.publish(way).await?;
        shown.rates.push(rate(events, began.elapsed()));
        shown.gateway.push(each(gateway.read()?, events));
        shown.server.push(each(server.read()?, events));
        shown.latencies.append(&mut latencies);
        let stored = jetstream::new(self.deployment.client.clone()).get_stream("EVENTS").await?;
        let stored = stored.cached_info().state.messages;
        if stored == events {
            Ok(())
        } else {
            Err(format!("{stored} events are stored, expected {events}").into())
        }
    }

    /// Publishes all events of a round, and returns how long each request took.
    async fn publish(&self, way: Way) -> Result<Vec<Duration>, Failure> {
        let Options { events, producers, batch, .. } = *self.options;
        if way == Way::Pipelined {
            let payloads = (0..events).map(|index| self.payload(index));
            write_events(&self.deployment, EVENT, payloads).await?;
            return Ok(Vec::new());
        }
        let size = if way == Way::Batches { batch.max(1) } else { 1 };
        let next = AtomicU64::new(0);
        let producer = async || {
            let mut connection = Connection::open(self.gateway.address, &self.token).await?;
            let mut latencies = Vec::new();
            loop {
                let first = next.fetch_add(size, Ordering::Relaxed);
                if first >= events {
                    return Ok::<_, Failure>(latencies);
                }
                let began = Instant::now();
                self.send(way, &mut connection, first..(first + size).min(events)).await?;
                latencies.push(began.elapsed());
            }
        };
        let latencies = try_join_all((0..producers).map(|_| producer())).await?;
        Ok(latencies.into_iter().flatten().collect())
    }

    async fn send(
        &self,
        way: Way,
        connection: &mut Connection,
        events: std::ops::Range<u64>,
    ) -> Result<(), Failure> {
        match way {
            Way::Pipelined | Way::Acknowledged => {
                let context = jetstream::new(self.deployment.client.clone());
                for index in events {
                    context.publish(event_subject(EVENT), self.payload(index)).await?.await?;
                }
                Ok(())
            }
            Way::Plain => {
                let path = format!("/api/v1/events/{EVENT}");
                connection.post(&path, "application/json", &self.payload(events.start)).await
            }
            Way::CloudEvents => {
                let event = self.cloud_event(events.start)?.to_string();
                connection.post("/api/v1/events", "application/cloudevents+json", event.as_bytes()).await
            }
            Way::Batches => {
                let all = events.map(|index| self.cloud_event(index)).collect::<Result<Vec<_>, _>>()?;
                let body = Value::Array(all).to_string();
                connection.post("/api/v1/events", "application/cloudevents-batch+json", body.as_bytes()).await
            }
        }
    }

    fn payload(&self, index: u64) -> Bytes {
        notification(index, USERS, self.options.bytes)
    }

    fn cloud_event(&self, index: u64) -> Result<Value, Failure> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed).to_string();
        let data = json::parse(&self.payload(index))?;
        Ok(json!({ "specversion": "1.0", "id": id, "source": "/bench", "type": EVENT, "data": data }))
    }
}

/// A connection that sends one request after another, with as little work as possible.
struct Connection {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Connection {
    async fn open(address: SocketAddr, token: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let head = format!("HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n");
        Ok(Self { stream: BufReader::new(stream), head })
    }

    /// Sends a request, and reads the answer.
    async fn post(&mut self, path: &str, kind: &str, body: &[u8]) -> Result<(), Failure> {
        let (head, length) = (&self.head, body.len());
        let mut request =
            format!("POST {path} {head}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")
                .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        let (mut status, mut length, mut line) = (None, 0, String::new());
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err("the gateway has ended the connection".into());
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            let header = text.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim()));
            match header {
                Some((name, value)) if name == "content-length" => length = value.parse()?,
                _ if status.is_none() => status = Some(text.contains(" 200")),
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        match status {
            Some(true) => Ok(()),
            _ => Err(format!("the gateway refuses an event: {}", String::from_utf8_lossy(&answer)).into()),
        }
    }
}

fn section(options: &Options, shown: &mut [Shown]) -> Section {
    let title = format!("Publishing events of {} bytes", options.bytes);
    let mut section = Section::new(title, COLUMNS);
    section.plot = Some(Plot::of(&["events/s"]));
    let bare = shown.first().map(|shown| shown.rates.clone()).unwrap_or_default();
    for (way, shown) in WAYS.iter().zip(shown) {
        let (subject, name) = way.describe(options);
        let ratios = shown.rates.iter().zip(&bare).map(|(own, bare)| own / bare).collect();
        shown.latencies.sort_unstable();
        let quantiles = [0.5, 0.99].map(|part| {
            (!shown.latencies.is_empty()).then(|| milliseconds(quantile(&shown.latencies, part)))
        });
        let values = [
            number(options.events),
            median(shown.rates.clone()),
            spread(&shown.rates),
            median(ratios),
            median(shown.gateway.clone()),
            median(shown.server.clone()),
        ];
        section.row_of(subject, name, values.map(Some).into_iter().chain(quantiles));
    }
    section.note(format!("{} producers at once, each of which waits for its answer", options.producers));
    section.note(
        "plain JSON has no id; a CloudEvent has one, whose receipt is looked up before and written after it",
    );
    section.note("latency: of a request, from sending it to its answer; the producers run on the same cores");
    section
}
