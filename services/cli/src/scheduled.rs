//! `tidings scheduled`: lists and cancels events that are delivered later.
//!
//! A cancellation is an event like that of a producer, so it comes in order with what producers say about the same event.

use std::path::Path;
use std::process::ExitCode;

use futures_util::TryStreamExt as _;
use tidings_model::{Delivery, EventName};
use tidings_runtime::config::SecretRule;
use tidings_streams::Schedules;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arguments::ScheduledCommand;
use crate::failure::Failure;
use crate::output::{Table, announce, print_json};
use crate::{known, serve};

/// Lists or cancels.
pub(crate) async fn run(file: Option<&Path>, command: &ScheduledCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let topology = serve::topology(&config, "tidings-scheduled").await?;
    match command {
        ScheduledCommand::Ls { tenant, json } => {
            let tenant = known::tenant(&config, &topology.client(), tenant).await?;
            let mut found = Schedules::new(&topology).list(&tenant);
            let mut table = Table::new(["DUE", "EVENT", "SOURCE", "ID", "SCHEDULED"]);
            while let Some(scheduled) = found.try_next().await? {
                if *json {
                    print_json(&scheduled)?;
                    continue;
                }
                let set = scheduled.scheduled.replace_nanosecond(0)?.format(&Rfc3339)?;
                let source = scheduled.source.unwrap_or_else(|| "-".to_owned());
                table.row([scheduled.at.format(&Rfc3339)?, scheduled.event, source, scheduled.id, set])?;
            }
            if !json {
                table.finish("no events are scheduled")?;
            }
        }
        ScheduledCommand::Cancel { tenant, source, event, id } => {
            let tenant = known::tenant(&config, &topology.client(), tenant).await?;
            let name = EventName::parse(event).ok_or_else(|| {
                format!("event {event:?} is not of the form entity.action, such as incident.created")
            })?;
            let now = OffsetDateTime::now_utc();
            let cancellation = Delivery::cancellation(&tenant, &name, source.as_deref(), id, now);
            cancellation.read()?;
            let sequence = topology.send_event(&cancellation).await?.await?;
            announce(&format!(
                "{name} {id} is cancelled by event {sequence}, unless it was delivered already"
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
