//! `tidings dev`: runs everything on this machine, and prints what to do next.

mod balancer;
mod child;
mod cluster;
mod examples;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tidings_embedded::{NatsServer, Options};
use tidings_gateway::Listening;
use tidings_metrics::Registry;
use tidings_model::{Placement, ShardNumber};
use tidings_runtime::config::{Config, Secret, SecretRule};
use tidings_runtime::shutdown::Shutdown;
use tidings_runtime::telemetry;
use tidings_streams::Topology;
use tokio_util::sync::CancellationToken;

use crate::arguments::{DevOptions, Nodes};
use crate::failure::Failure;
use crate::metrics::Serving;
use crate::output::print_text;
use crate::reload::{self, Reason};
use crate::report::report;
use crate::{catalogs, serve, stores, token};

/// Where OpenTelemetry's exporters for Prometheus listen by default.
const METRICS_PORT: u16 = 9464;
/// The key of contacts on a developer's machine. It is public.
const CONTACT_KEY: &str = "dGlkaW5ncy1kZXYta2V5LWtub3duLWV2ZXJ5d2hlcmU=";

/// Starts a nats-server, projector and gateway, and ends all of them together.
pub(crate) async fn run(file: Option<&Path>, options: &DevOptions) -> Result<ExitCode, Failure> {
    if options.nodes == Nodes::Three {
        return Box::pin(cluster::run(file, options)).await;
    }
    let mut config = serve::configuration(file, SecretRule::Optional)?;
    if config.access.hs256_secret.is_none() && config.access.issuers.is_empty() {
        config.access.hs256_secret = Some(Secret::new(token::DEV_SECRET.as_bytes()));
    }
    config.contacts.keys.get_or_insert_with(|| Secret::new(CONTACT_KEY.as_bytes()));
    // One address for everything is enough on a developer's machine.
    config.gateway.admin_listen.get_or_insert(config.gateway.listen);
    // There is no other gateway to move connections to.
    config.gateway.drain_time.get_or_insert(Duration::ZERO);
    let drain_time = config.gateway.drain_time();
    let catalogs = catalogs::read(&config.schemas)?;
    let identity = tidings_gateway::identity(&config.gateway).await?;
    // Before NATS starts: if the address is in use, nothing needs to be cleaned up.
    check_free(&config)?;
    let (shutdown, registry) = (Shutdown::new(), Registry::default());
    let telemetry = telemetry::start(&config.telemetry, "tidings-dev", &registry)?;
    let port = port_of(&config.nats.url)?;
    let mut server = NatsServer::start(Options::new(&options.data).port(port)).await.map_err(explain_busy)?;
    server.url().clone_into(&mut config.nats.url);
    let metrics = serve_metrics(&mut config, &registry)?;

    let client = serve::connect_counted(&config, "tidings-dev", &registry).await?;
    let topology = serve::ensure(&config, &client).await?;
    let tenants = catalogs.tenants();
    let parts = (&shutdown, &registry);
    let current = reload::keep_current(&config, catalogs, Some(&topology), parts, Reason::Change).await?;
    // Before the gateway accepts clients, as they would be moved to another shard a moment later.
    tidings_projector::place_initially(&topology, &serve::shards(&config)?).await?;
    let scheme = if identity.is_some() { "wss" } else { "ws" };
    let stores = stores::Stores::open(&config, topology.clone()).await?;
    let (_, reason) = tokio::sync::watch::channel(String::new());
    let stores = std::future::ready(Ok(stores));
    let opened = CancellationToken::new();
    let address =
        serve::start_gateway(&config, identity, current.clone(), stores, reason, opened.clone(), parts)?;
    let sources = serve::follow_sources(file, &config, &shutdown)?;
    serve::start_sources(topology.clone(), sources.clone(), parts);
    for shard in shards_in_use(&config, &topology).await? {
        serve::start_projector(&config, shard, current.clone(), topology.clone(), sources.clone(), parts)?;
        serve::dispatcher::start(&config, shard, current.clone(), topology.clone(), parts).await?;
    }
    let (gateway, nats) = (format!("{scheme}://{address}"), server.url().to_owned());
    let mut more = examples::start(&config, &topology, &gateway, &shutdown)?;
    if let Some(address) = metrics.address() {
        _ = writeln!(more, "  metrics    http://{address}/metrics");
    }
    // The rest of the connection would report errors when the nats-server ends.
    drop((topology, client));
    let whole = shutdown.clone();
    // Printed only once it is true.
    let announced = async {
        tokio::select! {
            () = opened.cancelled() => explain(&gateway, &nats, &options.data, &tenants, &more),
            () = whole.triggered() => {}
        }
    };
    let watched = async {
        tokio::select! {
            error = server.exited() => {
                report(&error);
                whole.trigger();
                Some(error)
            }
            () = whole.triggered() => None,
        }
    };
    let ending = serve::until_ended(shutdown, drain_time, telemetry);
    let (lost, ended, ()) = tokio::join!(watched, ending, announced);
    if lost.is_some() {
        return Ok(ExitCode::FAILURE);
    }
    server.stop().await?;
    ended
}

/// Shard 0, the configured shards, and those in which tenants' envelopes are, were or will be.
async fn shards_in_use(config: &Config, topology: &Topology) -> Result<BTreeSet<ShardNumber>, Failure> {
    let configured = [ShardNumber::default(), ShardNumber(config.projector.shard)];
    let placements = topology.placements().all().await?.placements;
    let placed = placements.values().flat_map(Placement::places).map(|place| place.shard);
    Ok(configured.into_iter().chain(serve::shards(config)?.into_values()).chain(placed).collect())
}

/// Serves figures beside the gateway: where they are configured, else at the usual port, or at any if that is taken.
fn serve_metrics(config: &mut Config, registry: &Registry) -> Result<Serving, Failure> {
    if config.telemetry.metrics_listen.is_some() {
        return Ok(Serving::start(&config.telemetry, registry)?);
    }
    let gateway = config.gateway.listen;
    let port = if gateway.port() == 0 { 0 } else { METRICS_PORT };
    config.telemetry.metrics_listen = Some(SocketAddr::new(gateway.ip(), port));
    Serving::start(&config.telemetry, registry).or_else(|_taken| {
        config.telemetry.metrics_listen = Some(SocketAddr::new(gateway.ip(), 0));
        Ok(Serving::start(&config.telemetry, registry)?)
    })
}

/// Fails if another program has the gateway's addresses.
fn check_free(config: &Config) -> Result<(), Failure> {
    Ok(Listening::bind(&config.gateway).map(drop)?)
}

/// Names the configuration key of the port, which the embedded nats-server does not know.
fn explain_busy(error: tidings_embedded::Error) -> Failure {
    match error {
        tidings_embedded::Error::PortBusy { port } => format!(
            "port {port} is in use by another process; stop that one, or choose another port for NATS with `nats.url`, \
             such as TIDINGS_NATS__URL=nats://127.0.0.1:4333"
        )
        .into(),
        other => other.into(),
    }
}

/// The port for the nats-server: that of the configured address.
fn port_of(url: &str) -> Result<u16, Failure> {
    let port = url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
    port.ok_or_else(|| {
        format!("`nats.url` is {url:?}, expected a port at its end, such as nats://127.0.0.1:4222").into()
    })
}

/// Prints the instructions. `more` holds lines about other processes.
fn explain(gateway: &str, nats: &str, data: &Path, tenants: &str, more: &str) {
    let program = std::env::current_exe().ok();
    let here = std::env::current_dir().ok();
    let relative =
        program.as_deref().zip(here.as_deref()).and_then(|(program, here)| program.strip_prefix(here).ok());
    let tidings = relative
        .or(program.as_deref())
        .map_or_else(|| "tidings".to_owned(), |path| path.display().to_string());
    let text = format!(
        r#"
Tidings is running.

  clients    {gateway}/api/ws
  producers  {nats} (any NATS client; data in {data})
  tenants    {tenants}
{more}
Listen as Ada, an engineer of the ops control center, in a second terminal:

  export TIDINGS_TOKEN=$({tidings} token --tenant ops --sub ada --role sre)
  {tidings} listen --topic incidents

Publish an incident for her in a third:

  {tidings} publish --tenant ops incident.created --data '{{"id":"inc-1","jira_id":"INC-1","title":"API timeout","severity":"critical","status":"open","squad":"platform"}}'

Ctrl-C ends everything.
"#,
        data = data.display()
    );
    // Ignored if standard output is closed.
    let _ = print_text(&text);
}
