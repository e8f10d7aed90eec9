//! `tidings projector …`: rebuilds and moves tenants.
//!
//! A request is written to the bucket `PLACEMENTS`, and the shard's projector carries it out; this command does not
//! have to keep running.

mod comparison;
mod dry_run;
mod listing;
mod paths;
mod progress;
mod watch;

use std::cell::Cell;
use std::path::Path;
use std::process::ExitCode;

use tidings_model::{Placement, Rebuild, ShardNumber, Tenant};
use tidings_runtime::config::{Config, SecretRule};
use tidings_streams::{Topology, last_of_generation};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::watch::{leave, watch};
use crate::arguments::{MoveOptions, ProjectorCommand, RebuildOptions};
use crate::failure::Failure;
use crate::output::{announce, print, rfc3339};
use crate::{known, serve};

/// Runs a subcommand.
pub(crate) async fn run(file: Option<&Path>, command: &ProjectorCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    match command {
        ProjectorCommand::Rebuild(options) => Box::pin(rebuild(&config, options)).await,
        ProjectorCommand::Move(options) => Box::pin(relocate(&config, options)).await,
        ProjectorCommand::Cancel { tenant } => cancel(&config, tenant).await,
        ProjectorCommand::Ls { json } => listing::run(&config, *json).await,
    }
}

async fn rebuild(config: &Config, options: &RebuildOptions) -> Result<ExitCode, Failure> {
    let now = OffsetDateTime::now_utc();
    let since = options.since.as_deref().map(|text| since(text, now)).transpose()?;
    let topology = topology(config).await?;
    let tenant = known::tenant(config, &topology.client(), &options.tenant).await?;
    if options.dry_run {
        return Box::pin(dry_run::run(config, &topology, &tenant, since, options.json)).await;
    }
    let first = first_shard(config, &topology, &tenant).await?;
    let asked = Cell::new(false);
    let since = since.map(seconds);
    let request = |placement: &mut Placement| {
        asked.set(placement.request(placement.current.place.shard, since, seconds(now)));
    };
    let placement = topology.placements().change(&tenant, first, request).await?;
    let Some(rebuild) = &placement.next else {
        print("done")?;
        return Ok(ExitCode::SUCCESS);
    };
    if asked.get() {
        print(&format!(
            "asked the projector of shard {} for {}",
            rebuild.place.shard,
            named(&tenant, rebuild)
        ))?;
    } else {
        print(&format!("already in progress: {}", named(&tenant, rebuild)))?;
    }
    wait(&topology, &tenant, rebuild, options.detach).await
}

async fn relocate(config: &Config, options: &MoveOptions) -> Result<ExitCode, Failure> {
    let (topology, to) = (topology(config).await?, ShardNumber(options.to));
    let tenant = known::tenant(config, &topology.client(), &options.tenant).await?;
    let first = first_shard(config, &topology, &tenant).await?;
    let asked = Cell::new(false);
    let request = |placement: &mut Placement| {
        let is_elsewhere = placement.current.place.shard != to;
        // A move copies history unchanged; only events from now on are projected.
        let now = now();
        asked.set(is_elsewhere && placement.request(to, Some(now), now));
    };
    let placement = topology.placements().change(&tenant, first, request).await?;
    match &placement.next {
        Some(rebuild) if asked.get() => {
            print(&format!("asked the projector of shard {to} for {}", named(&tenant, rebuild)))?;
            wait(&topology, &tenant, rebuild, options.detach).await
        }
        Some(rebuild) if rebuild.place.shard == to && placement.current.place.shard != to => {
            print(&format!("already in progress: {}", named(&tenant, rebuild)))?;
            wait(&topology, &tenant, rebuild, options.detach).await
        }
        Some(rebuild) => {
            let under_way = named(&tenant, rebuild);
            Err(format!(
                "{under_way} is in progress; wait for it, or cancel it with `tidings projector cancel`"
            )
            .into())
        }
        None => Err(format!("tenant {tenant} is in shard {to} already").into()),
    }
}

/// Describes a rebuild for display.
fn named(tenant: &Tenant, rebuild: &Rebuild) -> String {
    let place = rebuild.place;
    let since = rebuild.since.map(|since| format!(" from events since {}", rfc3339(since)));
    let since = since.unwrap_or_default();
    format!("generation {} of tenant {tenant} in shard {}{since}", place.generation, place.shard)
}

async fn wait(
    topology: &Topology,
    tenant: &Tenant,
    rebuild: &Rebuild,
    is_detached: bool,
) -> Result<ExitCode, Failure> {
    if is_detached {
        return leave(tenant);
    }
    watch(topology.placements(), tenant, rebuild.place).await
}

async fn cancel(config: &Config, tenant: &str) -> Result<ExitCode, Failure> {
    let topology = topology(config).await?;
    let tenant = &known::tenant(config, &topology.client(), tenant).await?;
    let none = || {
        format!(
            "no rebuild or move of tenant {tenant} is in progress; `tidings projector ls` lists those that are"
        )
    };
    let placements = topology.placements();
    // Avoids creating a record for a tenant that has none.
    let shard = placements.load(tenant).await?.next.ok_or_else(none)?.place.shard;
    let cancelled = Cell::new(None);
    let forget = |placement: &mut Placement| cancelled.set(placement.cancel());
    placements.change(tenant, shard, forget).await?;
    let rebuild = cancelled.take().ok_or_else(none)?;
    announce(&format!(
        "cancelled: {}; the projector of shard {} removes what it has written of it",
        named(tenant, &rebuild),
        rebuild.place.shard
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn topology(config: &Config) -> Result<Topology, Failure> {
    serve::topology(config, "tidings-projector-command").await
}

/// The shard of a tenant without a record: where its envelopes are, or else the configured one.
async fn first_shard(config: &Config, topology: &Topology, tenant: &Tenant) -> Result<ShardNumber, Failure> {
    let has_envelopes = last_of_generation(topology, tenant, 0).await?.is_some();
    let configured = serve::shards(config)?.get(tenant).copied();
    Ok(configured.filter(|_| !has_envelopes).unwrap_or_default())
}

/// Parses a time in the form of `--since`.
fn since(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, Failure> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| {
        let span = humantime::parse_duration(text).ok()?;
        now.checked_sub(span.try_into().ok()?)
    });
    let moment = moment.ok_or_else(|| {
        format!(
            "--since {text:?} is neither RFC 3339, such as 2025-01-17T10:30:00Z, nor a span, such as 2h or 7d"
        )
    })?;
    if moment > now || moment < OffsetDateTime::UNIX_EPOCH {
        return Err(format!("--since {text:?} is no time between 1970 and now").into());
    }
    Ok(moment)
}

fn seconds(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp()).unwrap_or_default()
}

/// Seconds since 1970.
fn now() -> u64 {
    seconds(OffsetDateTime::now_utc())
}
