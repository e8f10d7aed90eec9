//! A projector that starts with a long backlog: how fast it projects it, and its memory meanwhile.

use std::time::{Duration, Instant};

use super::rates::{USERS, until};
use crate::arguments::ProjectorOptions;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::population::{notification, write_events};
use crate::report::Plot;
use crate::report::{Section, megabytes, number, progress, rate};
use crate::usage::{peak, resident};

const COLUMNS: &[&str] = &["events", "seconds", "events/s", "MB now", "MB at most"];
/// Bytes of an event.
const BYTES: usize = 256;

pub(super) async fn measure(options: &ProjectorOptions) -> Result<Section, Failure> {
    let title = format!("A backlog of {} events of {BYTES} bytes", options.backlog);
    let mut section = Section::new(title, COLUMNS);
    section.plot = Some(Plot::of(&["MB at most"]));
    let deployment = Deployment::start(1_000).await?;
    let mut projector = deployment.projector("projector")?;
    write_events(&deployment, "notification.created", [notification(0, USERS, BYTES)]).await?;
    until(&deployment, &mut projector, 1).await?;
    add(&mut section, "after one event", 1, None, projector.pid)?;
    projector.kill().await?;

    progress(&format!("writing a backlog of {} events", options.backlog));
    let payloads = (0..options.backlog).map(|index| notification(index, USERS, BYTES));
    write_events(&deployment, "notification.created", payloads).await?;
    progress("projecting it");
    let mut projector = deployment.projector("projector")?;
    let began = Instant::now();
    until(&deployment, &mut projector, 1 + options.backlog).await?;
    add(&mut section, "after the backlog", options.backlog, Some(began.elapsed()), projector.pid)?;
    section.note("seconds: from the start of the process to the last envelope");
    Ok(section)
}

fn add(
    section: &mut Section,
    name: &str,
    events: u64,
    elapsed: Option<Duration>,
    pid: u32,
) -> Result<(), Failure> {
    let values = [
        Some(number(events)),
        elapsed.map(|elapsed| elapsed.as_secs_f64()),
        elapsed.map(|elapsed| rate(events, elapsed)),
        Some(megabytes(resident(pid)?)),
        Some(megabytes(peak(pid)?)),
    ];
    section.row(name, values);
    Ok(())
}
