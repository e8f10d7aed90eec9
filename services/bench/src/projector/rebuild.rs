//! A rebuild, beside projecting the same events live.

use std::time::{Duration, Instant};

use tidings_model::{Placement, ShardNumber, Tenant};

use super::rates::{USERS, until};
use crate::arguments::ProjectorOptions;
use crate::deployment::{Deployment, TENANT};
use crate::failure::Failure;
use crate::population::{notification, write_events};
use crate::process::Process;
use crate::report::Plot;
use crate::report::{Section, Subject, each, median, number, progress, rate, spread};
use crate::usage::Stopwatch;

const COLUMNS: &[&str] =
    &["events", "events/s", "± %", "× live", "± %", "CPU µs/event", "nats-server µs/event"];

const POLL: Duration = Duration::from_millis(10);

pub(super) async fn measure(options: &ProjectorOptions) -> Result<Section, Failure> {
    let ProjectorOptions { events, bytes, rounds, .. } = *options;
    let deployment = Deployment::start(1_000).await?;
    let (mut live, mut anew) = (Way::default(), Way::default());
    for round in 1..=rounds {
        progress(&format!("{events} events live, and in a rebuild: round {round}"));
        for stream in ["EVENTS", "ENVELOPES"] {
            deployment.purge(stream).await?;
        }
        let payloads = (0..events).map(|index| notification(index, USERS, bytes));
        write_events(&deployment, "notification.created", payloads).await?;
        let before = deployment.topology.extent().await?.last;
        let mut projector = deployment.projector("projector")?;
        live.measure(&deployment, &mut projector, before, events).await?;
        let generation = ask(&deployment).await?;
        anew.measure(&deployment, &mut projector, before + events, events).await?;
        until_current(&deployment, generation).await?;
        projector.kill().await?;
    }
    Ok(section(&live, &anew, events))
}

fn section(live: &Way, anew: &Way, events: u64) -> Section {
    let mut section = Section::new("The same events in a rebuild", COLUMNS);
    section.plot = Some(Plot::of(&["× live"]).target(1.0, "target ≥ 1.0"));
    for (name, way) in [("live", live), ("rebuild", anew)] {
        let ratios: Vec<f64> = way.rates.iter().zip(&live.rates).map(|(own, live)| own / live).collect();
        let cost = |process: usize| median(way.costs.iter().map(|costs| costs[process]).collect());
        let values = [
            number(events),
            median(way.rates.clone()),
            spread(&way.rates),
            median(ratios.clone()),
            spread(&ratios),
            cost(0),
            cost(1),
        ];
        section.row_of(Subject::Tidings, name, values.map(Some));
    }
    section.note("from the first envelope that is stored to the last, in turns on the same events");
    section
}

/// The results of projecting all events in one way.
#[derive(Default)]
struct Way {
    rates: Vec<f64>,
    costs: Vec<[f64; 2]>,
}

impl Way {
    /// Measures until this many envelopes are stored behind a sequence.
    async fn measure(
        &mut self,
        deployment: &Deployment,
        projector: &mut Process,
        before: u64,
        events: u64,
    ) -> Result<(), Failure> {
        let (used, server) = (Stopwatch::start(projector.pid)?, Stopwatch::start(deployment.server_pid()?)?);
        let first = until(deployment, projector, before + 1).await?;
        let began = Instant::now();
        let last = until(deployment, projector, before + events).await?;
        self.rates.push(rate(last - first, began.elapsed()));
        self.costs.push([each(used.read()?, events), each(server.read()?, events)]);
        Ok(())
    }
}

/// Requests a rebuild, and returns its generation.
async fn ask(deployment: &Deployment) -> Result<u32, Failure> {
    let shard = ShardNumber::default();
    let ask = |placement: &mut Placement| _ = placement.request(shard, None, 0);
    let placement = deployment.topology.placements().change(&tenant()?, shard, ask).await?;
    Ok(placement.next.ok_or("no rebuild was requested")?.place.generation)
}

async fn until_current(deployment: &Deployment, generation: u32) -> Result<(), Failure> {
    while deployment.topology.placements().load(&tenant()?).await?.current.place.generation < generation {
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

fn tenant() -> Result<Tenant, Failure> {
    Ok(Tenant::parse(TENANT)?)
}
