//! Processor time of a delivered message, beside the limit in the same run.

use super::Options;
use super::scene::{Crowd, Scene, address};
use crate::affinity::Cores;
use crate::failure::Failure;
use crate::limit::Limit;
use crate::report::Plot;
use crate::report::{Section, each, median, progress, spread};
use crate::usage::Stopwatch;

const COLUMNS: &[&str] = &["limit CPU µs", "± %", "gateway CPU µs", "± %", "of it worker", "ratio", "± %"];

/// Microseconds of one round.
#[derive(Default)]
struct Figures {
    limit: Vec<f64>,
    gateway: Vec<f64>,
    worker: Vec<f64>,
    ratio: Vec<f64>,
}

pub(crate) async fn measure(options: &Options, cores: &Cores) -> Result<Section, Failure> {
    let Options { connections, writes, .. } = *options;
    progress(&format!("{connections} connections to the limit and to the gateway"));
    let mut limit = Limit::start(connections, options.body, Some(cores.measured)).await?;
    let mut scene = Scene::prepare(options.body, cores).await?;
    scene.fill(Crowd { connections, addresses: 1, stalled: None }).await?;
    let mut all: Vec<Figures> = options.pending.iter().map(|_| Figures::default()).collect();
    // The first round runs with cold memory and is not counted.
    for round in 0..=options.rounds {
        progress(&format!("round {round} of {}", options.rounds));
        for (pending, figures) in options.pending.iter().zip(&mut all) {
            let writes = if round == 0 { writes.div_ceil(10) } else { writes };
            let delivered = connections * writes * pending;
            let at_limit = each(limit.deliver(*pending, writes).await?, delivered);
            let pid = scene.gateway.pid;
            let used = (Stopwatch::start(pid)?, Stopwatch::of_threads(pid, "worker")?);
            for _ in 0..writes {
                scene.deliver_at_once(&address(0)?, *pending).await?;
            }
            let (gateway, worker) = (each(used.0.read()?, delivered), each(used.1.read()?, delivered));
            scene.acknowledge()?;
            if round > 0 {
                figures.limit.push(at_limit);
                figures.gateway.push(gateway);
                figures.worker.push(worker);
                figures.ratio.push(gateway / at_limit);
            }
        }
    }
    let mut section = Section::new(format!("A delivered message, {connections} connections"), COLUMNS);
    section.plot = Some(Plot::of(&["ratio"]).target(1.0, "the limit"));
    for (pending, Figures { limit, gateway, worker, ratio }) in options.pending.iter().zip(all) {
        section.row(
            format!("{pending} pending"),
            [
                Some(median(limit.clone())),
                Some(spread(&limit)),
                Some(median(gateway.clone())),
                Some(spread(&gateway)),
                Some(median(worker)),
                Some(median(ratio.clone())),
                Some(spread(&ratio)),
            ],
        );
    }
    section.note("limit: a bare loop of writes of finished frames; one core each, in turns");
    section.note("gateway: the whole process, which also reads the envelopes; `tidings.v1`, authenticated");
    section.note("pending: messages that wait for a connection when it is written to");
    Ok(section)
}
