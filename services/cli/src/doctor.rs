//! `tidings doctor`: looks at a deployment, changes nothing, and says what is wrong, what that means and what to do.
//!
//! - `finding` is the list of all that can be found; the document is made from it.
//! - `judge` says what facts mean; pure.
//! - `local`, `servers` and `edge` look: at this machine, at nats-servers' monitoring, and at what clients find. What NATS
//!   has is looked at with [`Inspection`].
//!
//! What this login may not look at is no finding: the report says that it was not looked at, and why.

mod edge;
mod finding;
mod http;
mod judge;
mod local;
mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value};
use tidings_access::Trust;
use tidings_catalog::Catalog;
use tidings_model::{ShardNumber, Tenant};
use tidings_runtime::config::{AccessConfig, Config, ConsumerStoreKind, SecretRule};
use tidings_streams::{
    Client, Inspection, Permissions, Role, StreamFacts, Topology, connect, running_gateways,
    running_projectors,
};
use time::OffsetDateTime;

use self::edge::{EdgeFacts, Visitor};
use self::finding::{Level, Report};
use self::http::Http;
use self::judge::Processes;
use self::servers::ServerFigures;
use crate::arguments::{DoctorOptions, RoleName};
use crate::client::default_url;
use crate::failure::{Failure, line};
use crate::output::{print, print_json};
use crate::{canary, catalogs, serve, sources, stores, token};

/// The exit code if there are warnings and nothing worse.
const WARNINGS: u8 = 3;
/// How long the token of the visit is valid.
const VISIT: Duration = Duration::from_secs(60);
/// The API prefix of accounts that nothing separates.
const OWN_API: &str = "$JS.API";

/// Looks, and prints what was found.
pub(crate) async fn run(file: Option<&Path>, options: &DoctorOptions) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    match serve::configuration(file, SecretRule::Optional) {
        Ok(config) => Box::pin(look(&config, options, &mut report)).await?,
        Err(failure) => local::mistakes(&failure, &mut report),
    }
    if options.json {
        print_json(&report.json())?;
    } else {
        report.lines().iter().try_for_each(|line| print(line))?;
    }
    Ok(match report.level() {
        None => ExitCode::SUCCESS,
        Some(Level::Warning) => ExitCode::from(WARNINGS),
        Some(Level::Error) => ExitCode::FAILURE,
    })
}

async fn look(config: &Config, options: &DoctorOptions, report: &mut Report) -> Result<(), Failure> {
    local::catalogs(config, report);
    local::open_files(config, report);
    local::certificates(config, report).await;
    let client = match connect(&serve::connection(config, "tidings-doctor")).await {
        Ok(client) => Some(client),
        Err(error) => {
            report.find(&finding::NATS_UNREACHABLE, line(&error));
            None
        }
    };
    let url = options.url.clone().unwrap_or_else(|| default_url(&config.gateway));
    let http = client_for(&url, options)?;
    let visitor = visitor(config, options)?;
    let is_named = options.url.is_some();
    let visiting = edge::look(&http, (&url, is_named), visitor.as_ref(), client.as_ref());
    let mut in_nats = Report::default();
    let looking = async {
        if let Some(client) = &client {
            Box::pin(nats(config, options, client, &mut in_nats)).await;
        }
    };
    let (edge, keys, ()) = tokio::join!(visiting, local::key_sets(config), looking);
    report.add(keys);
    report.absorb(in_nats);
    judge_edge(&edge, options, config, report);
    Ok(())
}

fn judge_edge(edge: &EdgeFacts, options: &DoctorOptions, config: &Config, report: &mut Report) {
    let signs = options.token.is_none() && has_secret(&config.access);
    judge::edge(edge, signs, report);
}

fn client_for(url: &str, options: &DoctorOptions) -> Result<Http, Failure> {
    let is_secure = |url: &str| url.starts_with("wss://") || url.starts_with("https://");
    let trust = match &options.ca {
        Some(file) => Trust::File(file),
        None if is_secure(url) || options.monitor.iter().any(|url| is_secure(url)) => Trust::System,
        None => Trust::Nobody,
    };
    Ok(Http::new(trust)?)
}

fn has_secret(access: &AccessConfig) -> bool {
    access.hs256_secret.is_some() || access.issuers.iter().any(|issuer| issuer.hs256_secret.is_some())
}

/// Who visits the gateway; nobody, if there is no token.
fn visitor(config: &Config, options: &DoctorOptions) -> Result<Option<Visitor>, Failure> {
    let served = catalogs::tenants(&config.schemas).unwrap_or_default();
    let tenant = match &options.tenant {
        Some(name) => Some(Tenant::parse(name)?),
        None => served.into_iter().next(),
    };
    let Some(tenant) = tenant else { return Ok(None) };
    if let Some(token) = &options.token {
        return Ok(Some(Visitor { tenant, token: token.clone(), canary: None }));
    }
    let claims = Map::from_iter([("sub".to_owned(), Value::from(edge::USER))]);
    let Ok(token) = token::sign(&config.access, &tenant, claims, VISIT) else { return Ok(None) };
    let read = catalogs::read(&config.schemas).ok();
    let catalog = read.as_ref().and_then(|read| read.catalogs.get(&tenant));
    let canary = catalog.filter(|catalog| canary::has_canary(catalog)).and_then(|_| canary::event());
    Ok(Some(Visitor { tenant, token: token.expose().to_owned(), canary }))
}

/// Looks at what NATS has.
async fn nats(config: &Config, options: &DoctorOptions, client: &Client, report: &mut Report) {
    let inspection = Inspection::new(client, &stores::stream_settings(config));
    let server = inspection.server();
    report.add(judge::server(&server, config.projector.max_event_bytes));
    let (may, placed, recorded, figures) = tokio::join!(
        inspection.permissions(),
        inspection.placements(),
        inspection.recorded_tenants(),
        monitoring(config, options),
    );
    for found in figures {
        match found {
            Ok(figures) if !options.monitor.is_empty() || judge::is_of(&figures, &server) => {
                report.add(judge::figures(&figures));
            }
            Ok(_) => {}
            Err(why) => report.not_seen(
                "a nats-server's disk and its `sync_interval`",
                why + "; `--monitor` says where to ask",
            ),
        }
    }
    let may = may.unwrap_or_else(|silence| {
        report.not_seen("permissions", silence.to_string());
        None
    });
    let tenants = by_shard(config, placed.as_ref().ok(), recorded.as_ref().ok());
    let shards: BTreeSet<_> = tenants.keys().copied().collect();
    lacking(&inspection, &shards, may.as_ref(), options, report);
    if !server.is_supported {
        report.not_seen("streams and processes", "this nats-server is too old");
        return;
    }
    let with_fallbacks = with_fallbacks(config, &tenants);
    let (streams, processes, dispatchers, ()) = tokio::join!(
        inspection.streams(&shards, may.as_ref()),
        running(&inspection, client, &shards),
        dispatching(&inspection, &with_fallbacks),
        unreadable_sources(config, client, report),
    );
    let streams = judge::deliveries(streams, !with_fallbacks.is_empty());
    judge_streams(config, &inspection, &streams, report).await;
    judge::dispatchers(&dispatchers, report);
    let served = catalogs::tenants(&config.schemas).unwrap_or_default();
    let unknown =
        recorded.ok().map(|known| served.into_iter().filter(|tenant| !known.contains(tenant)).collect());
    let is_separate = config.nats.api_prefix != OWN_API;
    judge::processes(&Processes { tenants, unknown, is_separate, ..processes }, report);
}

async fn monitoring(config: &Config, options: &DoctorOptions) -> Vec<Result<ServerFigures, String>> {
    let urls =
        if options.monitor.is_empty() { servers::usual(&config.nats.url) } else { options.monitor.clone() };
    let Ok(http) = client_for("", options) else { return Vec::new() };
    futures_util::future::join_all(urls.iter().map(|url| servers::ask(&http, url))).await
}

/// The tenants in each shard: those that are served here, and those with a record. The first shard is always there.
fn by_shard(
    config: &Config,
    placed: Option<&BTreeMap<Tenant, tidings_model::Placement>>,
    recorded: Option<&BTreeSet<Tenant>>,
) -> BTreeMap<ShardNumber, BTreeSet<Tenant>> {
    let configured = serve::shards(config).unwrap_or_default();
    let mut tenants: BTreeSet<Tenant> =
        catalogs::tenants(&config.schemas).unwrap_or_default().into_iter().collect();
    tenants.extend(recorded.into_iter().flatten().cloned());
    tenants.extend(placed.into_iter().flatten().map(|(tenant, _)| tenant.clone()));
    let mut shards = BTreeMap::from([(ShardNumber::default(), BTreeSet::new())]);
    for tenant in tenants {
        let placement = placed.and_then(|placed| placed.get(&tenant));
        let shard = match placement {
            Some(placement) => placement.current.place.shard,
            None => configured.get(&tenant).copied().unwrap_or_default(),
        };
        shards.entry(shard).or_insert_with(BTreeSet::new).insert(tenant);
    }
    shards
}

fn lacking(
    inspection: &Inspection,
    shards: &BTreeSet<ShardNumber>,
    may: Option<&Permissions>,
    options: &DoctorOptions,
    report: &mut Report,
) {
    let Some(may) = may else { return };
    let role = options.role.map(|role| match role {
        RoleName::Gateway => Role::Gateway,
        RoleName::Projector => Role::Projector,
        RoleName::Dispatcher => Role::Dispatcher,
    });
    let duties = [Role::Gateway, Role::Projector, Role::Dispatcher]
        .map(|role| (role, inspection.duties(role, shards)));
    judge::permissions(may, &duties, role, report);
}

/// The tenants in each shard whose catalogs here have fallbacks; shards without any are left out.
fn with_fallbacks(
    config: &Config,
    tenants: &BTreeMap<ShardNumber, BTreeSet<Tenant>>,
) -> BTreeMap<ShardNumber, BTreeSet<Tenant>> {
    let Ok(read) = catalogs::read(&config.schemas) else { return BTreeMap::new() };
    let has_fallbacks = |tenant: &Tenant| read.catalogs.get(tenant).is_some_and(Catalog::has_fallbacks);
    let in_shard = |tenants: &BTreeSet<Tenant>| {
        tenants.iter().filter(|tenant| has_fallbacks(tenant)).cloned().collect::<BTreeSet<_>>()
    };
    let shards = tenants.iter().map(|(shard, tenants)| (*shard, in_shard(tenants)));
    shards.filter(|(_, tenants)| !tenants.is_empty()).collect()
}

/// Whether a dispatcher leads in each of these shards.
async fn dispatching(
    inspection: &Inspection,
    shards: &BTreeMap<ShardNumber, BTreeSet<Tenant>>,
) -> BTreeMap<ShardNumber, (BTreeSet<Tenant>, Option<bool>)> {
    let looks = shards.iter().map(async |(shard, tenants)| {
        (*shard, (tenants.clone(), inspection.dispatcher_lease(*shard).await.ok()))
    });
    futures_util::future::join_all(looks).await.into_iter().collect()
}

async fn running(inspection: &Inspection, client: &Client, shards: &BTreeSet<ShardNumber>) -> Processes {
    let leases = futures_util::future::join_all(shards.iter().map(|shard| inspection.lease(*shard)));
    let (gateways, projectors, leases) =
        tokio::join!(running_gateways(client), running_projectors(client), leases);
    let led = shards.iter().copied().zip(leases).map(|(shard, lease)| (shard, lease.ok()));
    Processes {
        gateways: gateways.ok(),
        projectors: projectors.ok(),
        led: led.collect(),
        tenants: BTreeMap::new(),
        unknown: None,
        is_separate: false,
    }
}

async fn judge_streams(
    config: &Config,
    inspection: &Inspection,
    streams: &[StreamFacts],
    report: &mut Report,
) {
    let newest = streams.iter().filter_map(|stream| stream.found.as_ref().ok()?.as_ref()?.now).max();
    if let Some(now) = newest {
        report.add(judge::clock("NATS", now - OffsetDateTime::now_utc()));
    }
    for stream in streams {
        judge::stream(stream, report);
    }
    let uses_kv = config.consumers.store == ConsumerStoreKind::Kv;
    let devices = streams.iter().find(|stream| stream.name == "KV_CONSUMERS");
    let devices = devices.and_then(|stream| stream.found.as_ref().ok()?.as_ref());
    let records = devices.map_or(0, |state| state.messages);
    let has_leases = uses_kv && inspection.has_consumer_leases().await;
    report.add(judge::consumer_store(uses_kv, records, has_leases));
}

/// The sources that are configured here.
async fn unreadable_sources(config: &Config, client: &Client, report: &mut Report) {
    if config.projector.sources.is_empty() {
        return;
    }
    let sources = match sources::configured(config) {
        Ok(sources) => sources,
        Err(error) => return report.find(&finding::SOURCE, line(&*error)),
    };
    let topology = match Topology::find(client, &stores::stream_settings(config)).await {
        Ok(topology) => topology,
        Err(error) => return report.not_seen("sources", line(&error)),
    };
    for source in sources {
        if let Err(error) = source.stream.newest(&topology, 1).await {
            report.find(&finding::SOURCE, format!("source {}: {}", source.name, line(&error)));
        }
    }
}
