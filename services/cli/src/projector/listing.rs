//! `tidings projector ls`: lists where tenants' envelopes are.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::{Value, json};
use tidings_model::{PastPlacement, Placement, Progress, Rebuild, Tenant, rfc3339_of_seconds};
use tidings_runtime::config::Config;
use tidings_streams::{AllPlacements, Topology, placed_at};
use time::OffsetDateTime;

use super::first_shard;
use crate::catalogs;
use crate::failure::Failure;
use crate::output::{Table, print_json, rfc3339};
use crate::serve;

/// Prints a line for each tenant that has a record, is configured or has a catalog.
pub(super) async fn run(config: &Config, json: bool) -> Result<ExitCode, Failure> {
    let topology = super::topology(config).await?;
    let AllPlacements { placements, unreadable } = topology.placements().all().await?;
    let configured = serve::shards(config)?;
    // Without local catalogs, there are no names to add.
    let served = catalogs::read_texts(&config.schemas).unwrap_or_default();
    let tenants: BTreeSet<&Tenant> =
        placements.keys().chain(&unreadable).chain(configured.keys()).chain(served.keys()).collect();
    let mut table = Table::new(["TENANT", "SHARD", "GENERATION", "SINCE", "IN PROGRESS"]);
    for tenant in tenants {
        if unreadable.contains(tenant) {
            if json {
                print_json(&json!({ "tenant": tenant, "error": "unreadable-placement" }))?;
            } else {
                table.row(
                    [tenant.as_str(), "-", "-", "-", "its placement cannot be read"].map(str::to_owned),
                )?;
            }
            continue;
        }
        let placement = match placements.get(tenant) {
            Some(placement) => placement.clone(),
            None => Placement::first(first_shard(config, &topology, tenant).await?),
        };
        // Also brings the shard's stream up to date, where only an administrator may do that.
        let shard = topology.on(placement.current.place.shard).await?;
        let since = since(&shard, placement.current).await?;
        if json {
            print_json(&described(tenant, &placement, since))?;
        } else {
            table.row(cells(tenant, &placement, since))?;
        }
    }
    if !json {
        table.finish("there are no tenants")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// When the tenant moved to its place; `None` for its first place, or if the stream no longer knows.
async fn since(shard: &Topology, stay: PastPlacement) -> Result<Option<OffsetDateTime>, Failure> {
    let Some(position) = stay.since else { return Ok(None) };
    Ok(placed_at(shard, position).await?)
}

fn cells(tenant: &Tenant, placement: &Placement, since: Option<OffsetDateTime>) -> [String; 5] {
    let place = placement.current.place;
    let under_way = placement.next.as_ref().map_or_else(|| "-".to_owned(), under_way);
    [
        tenant.to_string(),
        place.shard.to_string(),
        place.generation.to_string(),
        since.map_or_else(|| "-".to_owned(), |since| rfc3339(super::seconds(since))),
        under_way,
    ]
}

fn under_way(rebuild: &Rebuild) -> String {
    let place = rebuild.place;
    let target = format!("generation {} in shard {}", place.generation, place.shard);
    match rebuild.progress {
        None => format!("{target}, waits for its projector since {}", rfc3339(rebuild.requested_at)),
        Some(progress) => format!(
            "{target}: {} events done, {} left (as of {})",
            progress.events,
            progress.left,
            rfc3339(progress.at)
        ),
    }
}

/// The JSON for scripts; independent of how placements are stored.
fn described(tenant: &Tenant, placement: &Placement, since: Option<OffsetDateTime>) -> Value {
    let place = placement.current.place;
    let next = placement.next.as_ref().map(|next| {
        json!({
            "shard": next.place.shard,
            "generation": next.place.generation,
            "since": next.since.and_then(rfc3339_of_seconds),
            "requested_at": rfc3339_of_seconds(next.requested_at),
            "progress": next.progress.map(|Progress { events, left, envelopes, rejected, at }| json!({
                "events": events, "left": left, "envelopes": envelopes, "rejected": rejected,
                "at": rfc3339_of_seconds(at),
            })),
        })
    });
    json!({
        "tenant": tenant,
        "shard": place.shard,
        "generation": place.generation,
        "since": since.map(tidings_model::rfc3339),
        "next": next,
    })
}
