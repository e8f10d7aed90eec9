//! Processor time of a delivered message while nobody looks at the figures, and while they are read all the time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::Options;
use super::scene::{Crowd, Scene, address};
use crate::affinity::Cores;
use crate::failure::Failure;
use crate::process::free_address;
use crate::report::Plot;
use crate::report::{Section, each, median, progress, spread};
use crate::usage::Stopwatch;

const COLUMNS: &[&str] = &["off CPU µs", "± %", "on CPU µs", "± %", "ratio", "± %"];
/// How often each page is read; Prometheus reads every 15 to 60 seconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Microseconds of one round.
#[derive(Default)]
struct Figures {
    off: Vec<f64>,
    on: Vec<f64>,
    ratio: Vec<f64>,
}

pub(crate) async fn measure(options: &Options, cores: &Cores) -> Result<Section, Failure> {
    let Options { connections, writes, .. } = *options;
    progress(&format!("{connections} connections to a gateway with metrics and to one without"));
    let listen = free_address()?;
    let mut off = Scene::prepare(options.body, cores).await?;
    let variables = [("TIDINGS_TELEMETRY__METRICS_LISTEN", listen.to_string())];
    let mut on = Scene::prepare_with(options.body, cores, &variables).await?;
    for scene in [&mut off, &mut on] {
        scene.fill(Crowd { connections, addresses: 1, stalled: None }).await?;
    }
    let reading = Reading::start(listen).await?;
    let mut all: Vec<Figures> = options.pending.iter().map(|_| Figures::default()).collect();
    // The first round runs with cold memory and is not counted.
    for round in 0..=options.rounds {
        progress(&format!("round {round} of {}", options.rounds));
        for (pending, figures) in options.pending.iter().zip(&mut all) {
            let writes = if round == 0 { writes.div_ceil(10) } else { writes };
            let without = cost(&mut off, *pending, writes, connections).await?;
            let with = cost(&mut on, *pending, writes, connections).await?;
            if round > 0 {
                figures.off.push(without);
                figures.on.push(with);
                figures.ratio.push(with / without);
            }
        }
    }
    reading.check()?;
    let title = format!("A delivered message without and with metrics, {connections} connections");
    let mut section = Section::new(title, COLUMNS);
    section.plot = Some(Plot::of(&["ratio"]).target(1.0, "the same"));
    for (pending, Figures { off, on, ratio }) in options.pending.iter().zip(all) {
        let figures = [&off, &on, &ratio].map(|figure| [Some(median(figure.clone())), Some(spread(figure))]);
        section.row(format!("{pending} pending"), figures.into_iter().flatten());
    }
    section.note("off: without `telemetry.metrics_listen`; counting itself is always on");
    section.note("on: both pages are read every second");
    Ok(section)
}

/// Microseconds of the gateway for each delivered message.
async fn cost(scene: &mut Scene, pending: u64, writes: u64, connections: u64) -> Result<f64, Failure> {
    let used = Stopwatch::start(scene.gateway.pid)?;
    for _ in 0..writes {
        scene.deliver_at_once(&address(0)?, pending).await?;
    }
    let cost = each(used.read()?, connections * writes * pending);
    scene.acknowledge()?;
    Ok(cost)
}

/// Reads both pages again and again.
struct Reading(JoinHandle<Result<(), Failure>>);

impl Reading {
    async fn start(listen: SocketAddr) -> Result<Self, Failure> {
        read(listen).await?;
        Ok(Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                read(listen).await?;
            }
        })))
    }

    /// Fails if reading has failed.
    fn check(self) -> Result<(), Failure> {
        if self.0.is_finished() {
            return Err("the metrics could not be read all the time".into());
        }
        self.0.abort();
        Ok(())
    }
}

async fn read(listen: SocketAddr) -> Result<(), Failure> {
    for page in ["/metrics", "/metrics/tenants"] {
        let mut stream = TcpStream::connect(listen).await?;
        let request = format!("GET {page} HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(format!("{page} was not answered with 200").into());
        }
    }
    Ok(())
}
