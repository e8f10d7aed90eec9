//! A standby that takes over after the leader was killed (SIGKILL) while projecting.

use std::time::Instant;

use futures_util::StreamExt as _;

use super::rates::{USERS, until};
use crate::arguments::ProjectorOptions;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::population::{notification, write_events};
use crate::report::Plot;
use crate::report::{Section, median, number, progress};

const COLUMNS: &[&str] = &["kills", "median s", "longest s", "events", "envelopes"];
const CONSUMER: &str = "projector";
/// Events that the leader has projected before it is killed, and those that it may be projecting then.
const BEFORE: u64 = 200;
const AT_WORK: u64 = 2_000;
const BYTES: usize = 256;

pub(super) async fn measure(options: &ProjectorOptions) -> Result<Section, Failure> {
    let mut section = Section::new("A standby takes over after kill -9", COLUMNS);
    section.plot = Some(Plot::of(&["median s", "longest s"]));
    let deployment = Deployment::start(1_000).await?;
    let mut active = deployment.projector(CONSUMER)?;
    let mut times = Vec::new();
    let mut events = 0;
    for kill in 1..=options.takeovers {
        progress(&format!("takeover {kill}"));
        events += write(&deployment, BEFORE).await?;
        until(&deployment, &mut active, events).await?;
        let mut standby = deployment.projector(CONSUMER)?;
        until_one_stands_by(&deployment).await?;
        events += write(&deployment, AT_WORK).await?;
        let began = Instant::now();
        active.kill().await?;
        // Stored after the kill, so only the standby can project it.
        events += write(&deployment, 1).await?;
        until(&deployment, &mut standby, events).await?;
        times.push(began.elapsed().as_secs_f64());
        active = standby;
    }
    let longest = times.iter().copied().fold(0.0, f64::max);
    let envelopes = deployment.topology.extent().await?.messages;
    let values =
        [number(options.takeovers as u64), median(times), longest, number(events), number(envelopes)];
    section.row("projector", values.map(Some));
    section.note(format!("from the kill until all envelopes are there; up to {AT_WORK} events were in work"));
    if envelopes != events {
        return Err(format!("{events} events became {envelopes} envelopes").into());
    }
    Ok(section)
}

async fn write(deployment: &Deployment, count: u64) -> Result<u64, Failure> {
    let payloads = (0..count).map(|index| notification(index, USERS, BYTES));
    write_events(deployment, "notification.created", payloads).await?;
    Ok(count)
}

/// Waits until a projector stands by: it reads who leads, which a leader does not.
async fn until_one_stands_by(deployment: &Deployment) -> Result<(), Failure> {
    let mut asked = deployment.client.subscribe("$JS.API.STREAM.MSG.GET.KV_PROJECTORS").await?;
    asked.next().await.ok_or("the connection to NATS has ended")?;
    Ok(())
}
