//! `tidings rejected`: events that could not be projected, by hand.

use std::path::Path;
use std::process::ExitCode;

use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tidings_model::{Position, Tenant};
use tidings_runtime::config::SecretRule;
use tidings_streams::{RejectedEvent, Rejections};
use time::format_description::well_known::Rfc3339;

use crate::arguments::{RejectedCommand, RejectedFilter, RejectedSelection};
use crate::failure::Failure;
use crate::output::print;
use crate::serve;

/// Lists, shows, retries or drops.
pub(crate) async fn run(file: Option<&Path>, command: &RejectedCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let rejections = Rejections::new(&serve::topology(&config, "tidings-rejected").await?);
    match command {
        RejectedCommand::Ls { tenant, filter, json } => {
            list(&rejections, &Tenant::parse(tenant)?, filter, *json).await
        }
        RejectedCommand::Show { tenant, position } => {
            let found = find(&rejections, &Tenant::parse(tenant)?, position).await?;
            print(&serde_json::to_string_pretty(&described(&found)?)?)
        }
        RejectedCommand::Retry(selection) => retry(&rejections, selection).await,
        RejectedCommand::Drop(selection) => discard(&rejections, selection).await,
    }
}

async fn list(
    rejections: &Rejections,
    tenant: &Tenant,
    filter: &RejectedFilter,
    json: bool,
) -> Result<ExitCode, Failure> {
    let mut found = rejections.list(tenant);
    let mut is_empty = true;
    while let Some(rejected) = found.try_next().await? {
        if !filter.passes(&rejected) {
            continue;
        }
        if json {
            print(&serde_json::to_string(&rejected)?)?;
        } else {
            if is_empty {
                print(HEADING)?;
            }
            print(&line(&rejected)?)?;
        }
        is_empty = false;
    }
    if is_empty && !json {
        print("there are no rejected events")?;
    }
    Ok(ExitCode::SUCCESS)
}

const HEADING: &str =
    "POSITION                 EVENT                    REASON            TRIES  LAST SEEN             WHY";

fn line(rejected: &RejectedEvent) -> Result<String, Failure> {
    let seen = rejected.last_seen.replace_nanosecond(0)?.format(&Rfc3339)?;
    let (position, why) = (rejected.position.to_string(), &rejected.text);
    let (event, reason) = (event(rejected), &rejected.reason);
    Ok(format!("{position:<24} {event:<24} {reason:<17} {:>5}  {seen:<21} {why}", rejected.tries))
}

/// `<entity>.<action>`, or what the subject has in its place.
fn event(rejected: &RejectedEvent) -> &str {
    rejected.subject.splitn(3, '.').nth(2).unwrap_or(&rejected.subject)
}

impl RejectedFilter {
    fn passes(&self, rejected: &RejectedEvent) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == rejected.reason)
            && self.event.as_ref().is_none_or(|name| name == event(rejected))
    }
}

/// With the payload: as JSON if it is some, else as text.
fn described(rejected: &RejectedEvent) -> Result<Value, Failure> {
    let mut description = serde_json::to_value(rejected)?;
    let payload = tidings_model::json::parse(&rejected.payload)
        .unwrap_or_else(|_| json!(String::from_utf8_lossy(&rejected.payload)));
    if let Value::Object(members) = &mut description {
        members.insert("payload".to_owned(), payload);
    }
    Ok(description)
}

async fn find(rejections: &Rejections, tenant: &Tenant, position: &str) -> Result<RejectedEvent, Failure> {
    let position: Position = position.parse()?;
    let found = rejections.get(tenant, position).await?;
    found.ok_or_else(|| {
        let hint = format!("`tidings rejected ls --tenant {tenant}` shows those that there are");
        format!("there is no rejected event {position}; {hint}").into()
    })
}

async fn retry(rejections: &Rejections, selection: &RejectedSelection) -> Result<ExitCode, Failure> {
    let (tenant, positions) = selected(rejections, selection).await?;
    let mut retried = 0_usize;
    for position in positions {
        // It may have been retried or dropped by somebody else since it was listed.
        let Some(rejected) = rejections.get(&tenant, position).await? else { continue };
        let sequence = rejections.retry(&rejected).await?;
        print(&format!("{position} {} is event {sequence}", event(&rejected)))?;
        retried += 1;
    }
    print(&format!("retried {}; what is rejected again shows in `tidings rejected ls`", events(retried)))
}

async fn discard(rejections: &Rejections, selection: &RejectedSelection) -> Result<ExitCode, Failure> {
    let (tenant, positions) = selected(rejections, selection).await?;
    let mut dropped = 0_usize;
    for position in positions {
        let Some(rejected) = rejections.get(&tenant, position).await? else { continue };
        dropped += usize::from(rejections.drop(&rejected).await?);
    }
    print(&format!("dropped {}", events(dropped)))
}

fn events(count: usize) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}

/// The positions that are meant; those that were named must be there.
async fn selected(
    rejections: &Rejections,
    selection: &RejectedSelection,
) -> Result<(Tenant, Vec<Position>), Failure> {
    let tenant = Tenant::parse(&selection.tenant)?;
    let mut positions = Vec::new();
    for position in &selection.positions {
        positions.push(find(rejections, &tenant, position).await?.position);
    }
    if selection.positions.is_empty() {
        let listed = rejections.list(&tenant);
        let passing = listed.try_filter(|rejected| std::future::ready(selection.filter.passes(rejected)));
        positions = passing.map_ok(|rejected| rejected.position).boxed().try_collect().await?;
    }
    Ok((tenant, positions))
}
