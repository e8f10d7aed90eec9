//! Starting the services: from the configuration to running tasks.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tidings_access::{Rules, TokenPlace};
use tidings_catalog::Catalogs;
use tidings_gateway::{Gateway, Identity, Parts};
use tidings_model::{ShardNumber, Tenant};
use tidings_projector as projector;
use tidings_runtime::config::{
    Config, ConsumerStoreKind, SecretRule, Storage, StreamsConfig, TokenSource, effective, load,
};
use tidings_runtime::shutdown::Shutdown;
use tidings_runtime::telemetry;
use tidings_streams::consumers::{ConsumerSettings, ConsumerStore, JetStreamConsumers, KvConsumers};
use tidings_streams::users::Users;
use tidings_streams::{BucketSettings, ConnectSettings, Settings, Topology, connect};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::arguments::OWN_VARIABLES;
use crate::catalogs;
use crate::failure::{Failure, report};
use crate::issuers;
use crate::open_files;
use crate::reload::{self, Reason};

/// How long the tasks may take to end, besides what they are given to move clients elsewhere.
const SHUTDOWN: Duration = Duration::from_secs(10);
/// How long the last traces may take to leave.
const FLUSH: Duration = Duration::from_secs(3);

/// `tidings gateway`.
pub(crate) async fn gateway(file: Option<&Path>) -> Result<ExitCode, Failure> {
    let config = configuration(file, SecretRule::Required)?;
    let catalogs = catalogs::read(&config.schemas)?;
    let identity = Identity::configured(&config.gateway).await?;
    let telemetry = telemetry::start(&config.telemetry, "tidings-gateway")?;
    let shutdown = Shutdown::new();
    let topology = topology(&config, "tidings-gateway").await?;
    let current = reload::keep_current(&config, catalogs, None, &shutdown, Reason::Hangup).await?;
    let starting = start_gateway(&config, identity, current, topology, &shutdown);
    let address = Box::pin(starting).await?;
    tracing::info!(%address, "gateway listens");
    until_ended(shutdown, config.gateway.drain_time(), telemetry).await
}

/// `tidings projector`.
pub(crate) async fn projector(file: Option<&Path>) -> Result<ExitCode, Failure> {
    let config = configuration(file, SecretRule::Optional)?;
    let catalogs = catalogs::read(&config.schemas)?;
    let telemetry = telemetry::start(&config.telemetry, "tidings-projector")?;
    let shutdown = Shutdown::new();
    let topology = topology(&config, "tidings-projector").await?;
    let tenants = catalogs.tenants();
    let current = reload::keep_current(&config, catalogs, Some(&topology), &shutdown, Reason::Hangup).await?;
    let shard = ShardNumber(config.projector.shard);
    start_projector(&config, shard, current, topology, &shutdown)?;
    tracing::info!(tenants, %shard, "projector runs");
    until_ended(shutdown, Duration::ZERO, telemetry).await
}

/// Reads the file and the environment.
pub(crate) fn configuration(file: Option<&Path>, rule: SecretRule) -> Result<Config, Failure> {
    Ok(load(file, environment(), rule)?)
}

/// The file and the environment as a file with every key.
pub(crate) fn effective_configuration(file: Option<&Path>) -> Result<String, Failure> {
    Ok(effective(file, environment())?)
}

/// The variables that are configuration.
fn environment() -> Vec<(OsString, OsString)> {
    let is_own = |name: &OsString| OWN_VARIABLES.iter().any(|own| name == *own);
    std::env::vars_os().filter(|(name, _)| !is_own(name)).collect()
}

/// Connects and makes sure of the streams.
pub(crate) async fn topology(config: &Config, name: &str) -> Result<Topology, Failure> {
    let client = connect(&connection(config, name)).await?;
    Ok(Topology::ensure(&client, &stream_settings(&config.streams)).await?)
}

pub(crate) fn connection(config: &Config, name: &str) -> ConnectSettings {
    ConnectSettings {
        url: config.nats.url.clone(),
        credentials: config.nats.credentials.clone(),
        timeout: config.nats.connect_timeout,
        name: name.to_owned(),
    }
}

pub(crate) fn stream_settings(config: &StreamsConfig) -> Settings {
    Settings {
        replicas: config.replicas,
        in_memory: config.storage == Storage::Memory,
        events_max_age: config.events_max_age,
        envelopes_max_age: config.envelopes_max_age,
        rejected_max_age: config.rejected_max_age,
        events_max_bytes: config.events_max_bytes,
        envelopes_max_bytes: config.envelopes_max_bytes,
        rejected_max_bytes: config.rejected_max_bytes,
        duplicate_window: config.duplicate_window,
    }
}

/// Starts a gateway as a task and says where it listens.
pub(crate) async fn start_gateway(
    config: &Config,
    identity: Option<Identity>,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    topology: Topology,
    shutdown: &Shutdown,
) -> Result<std::net::SocketAddr, Failure> {
    open_files::allow_all();
    let verifier = issuers::verifier(&config.access)?;
    // Until the last client has left, its fresh tokens are checked.
    let served = CancellationToken::new();
    let keys = verifier.clone().keep_keys(served.clone());
    let gateway = Gateway::start(Parts {
        settings: config.gateway.clone(),
        name: gateway_name(),
        identity,
        leeway: config.access.leeway,
        rules: rules(config)?,
        verifier,
        catalogs,
        consumers: consumers(config, &topology).await?,
        users: users(config, &topology).await?,
        topology,
        max_event_bytes: config.projector.max_event_bytes,
        clock: OffsetDateTime::now_utc,
        random: fastrand::f64,
    })?;
    let address = gateway.address();
    if let Some(address) = gateway.admin_address() {
        tracing::info!(%address, "the admin interface listens");
    }
    shutdown.spawn("keys", keys);
    let whole = shutdown.clone();
    shutdown.spawn("gateway", async move {
        let _served = served.drop_guard();
        if let Err(error) = gateway.run(whole.clone()).await {
            report(&error);
            whole.trigger();
        }
    });
    Ok(address)
}

/// The machine, which is what an operator looks for, and something that tells gateways on it apart.
fn gateway_name() -> String {
    let machine = rustix::system::uname();
    let unique = Uuid::now_v7().simple().to_string();
    format!("{}-{}", machine.nodename().to_string_lossy(), unique.get(24..).unwrap_or(&unique))
}

/// Where users' positions are kept, as configured.
pub(crate) async fn consumers(
    config: &Config,
    topology: &Topology,
) -> Result<Arc<dyn ConsumerStore>, Failure> {
    let settings = ConsumerSettings {
        replicas: config.streams.replicas,
        in_memory: config.streams.storage == Storage::Memory,
        inactive_after: config.consumers.inactive_after,
    };
    let client = topology.client();
    Ok(match config.consumers.store {
        ConsumerStoreKind::Kv => Arc::new(KvConsumers::open(&client, &settings).await?),
        ConsumerStoreKind::JetStream => Arc::new(JetStreamConsumers::open(topology, &settings).await?),
    })
}

/// Who is switched off.
pub(crate) async fn users(config: &Config, topology: &Topology) -> Result<Users, Failure> {
    let in_memory = config.streams.storage == Storage::Memory;
    Ok(Users::open(&topology.client(), BucketSettings { replicas: config.streams.replicas, in_memory })
        .await?)
}

/// Which requests may bring which tokens, as configured.
fn rules(config: &Config) -> Result<Rules, Failure> {
    let places = config.access.sources.iter().map(|source| match source {
        TokenSource::Header => TokenPlace::Header,
        TokenSource::Query => TokenPlace::Query,
        TokenSource::Cookie => TokenPlace::Cookie,
        TokenSource::Subprotocol => TokenPlace::Subprotocol,
    });
    let origins = config.gateway.allowed_origins.iter().map(|origin| origin.parse());
    Ok(Rules {
        places: places.collect(),
        cookie: config.gateway.cookie.clone(),
        allowed_origins: origins.collect::<Result<_, _>>()?,
        requires_origin: config.access.require_origin,
    })
}

/// The shards of tenants that are not in the first from their first envelope on.
pub(crate) fn shards(config: &Config) -> Result<BTreeMap<Tenant, ShardNumber>, Failure> {
    let shards = config.streams.shards.iter();
    shards.map(|(tenant, shard)| Ok((Tenant::parse(tenant)?, ShardNumber(*shard)))).collect()
}

/// Starts the projector of a shard as a task; if it cannot go on, everything ends.
pub(crate) fn start_projector(
    config: &Config,
    shard: ShardNumber,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    topology: Topology,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let settings = projector::Settings {
        consumer: config.projector.consumer.clone(),
        in_flight: config.projector.in_flight.get(),
        max_event_bytes: config.projector.max_event_bytes,
        shard,
        shards: shards(config)?,
    };
    let (token, whole) = (shutdown.token(), shutdown.clone());
    shutdown.spawn("projector", async move {
        let running = projector::run(topology, catalogs, settings, OffsetDateTime::now_utc, token);
        if let Err(error) = Box::pin(running).await {
            report(&error);
            whole.trigger();
        }
    });
    Ok(())
}

/// Runs until a signal, or until a service cannot go on; after a signal the tasks have `drain_time` to
/// themselves.
pub(crate) async fn until_ended(
    shutdown: Shutdown,
    drain_time: Duration,
    telemetry: telemetry::Guard,
) -> Result<ExitCode, Failure> {
    let second_signal = shutdown.on_signals()?;
    let clean = tokio::select! {
        signal = second_signal => std::process::exit(signal.exit_code().into()),
        clean = shutdown.finished(drain_time, SHUTDOWN) => clean,
    };
    if let Err(error) = telemetry.shutdown(FLUSH).await {
        report(&error);
    }
    clean?;
    Ok(ExitCode::SUCCESS)
}
