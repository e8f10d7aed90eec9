//! Starts the services: from the configuration to running tasks.

pub(crate) mod dispatcher;
mod login;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tidings_access::{Rules, TokenPlace};
use tidings_catalog::Catalogs;
use tidings_gateway::{ContactClaims, Gateway, Identity, Listening, Parts};
use tidings_metrics::Registry;
use tidings_model::{ShardNumber, Tenant};
use tidings_projector as projector;
use tidings_runtime::config::{
    self, Config, ContactsConfig, SecretRule, Setting, TokenSource, effective, load,
};
use tidings_runtime::shutdown::Shutdown;
use tidings_runtime::telemetry;
use tidings_streams::{Backoff, Client, ConnectSettings, TlsFiles, Topology, connect, leave_cut_off_servers};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::login::login;
use crate::arguments::OWN_VARIABLES;
use crate::catalogs;
use crate::failure::Failure;
use crate::issuers;
use crate::metrics::Serving;
use crate::open_files;
use crate::reload::{self, Reason};
use crate::report::report;
use crate::sources;
use crate::stores::{self, Stores, when_there};
use crate::unsubscribe;

/// How long the tasks may take to end, in addition to the time for moving clients to other gateways.
const SHUTDOWN: Duration = Duration::from_secs(10);
/// How long the streams may have no leader at the start: several elections.
const ELECTION: Duration = Duration::from_secs(30);
/// How long the export of the last traces may take.
const FLUSH: Duration = Duration::from_secs(3);

/// `tidings gateway`.
pub(crate) async fn gateway(file: Option<&Path>) -> Result<ExitCode, Failure> {
    let config = configuration(file, SecretRule::Required)?;
    let catalogs = catalogs::read(&config.schemas)?;
    let identity = tidings_gateway::identity(&config.gateway).await?;
    let (shutdown, registry) = (Shutdown::new(), Registry::default());
    let telemetry = telemetry::start(&config.telemetry, "tidings-gateway", &registry)?;
    let _metrics = Serving::start(&config.telemetry, &registry)?;
    let client = connect_counted(&config, "tidings-gateway", &registry).await?;
    let whole = (&shutdown, &registry);
    let current = reload::keep_current(&config, catalogs, None, whole, Reason::Hangup).await?;
    let (said, reason) = watch::channel("the gateway looks for its streams".to_owned());
    let (settings, stores) = (config.clone(), config.clone());
    let watched = shutdown.clone();
    let streams = async move {
        let stores = when_there(&settings, &client, &said).await?;
        stay_served(&stores.topology, &watched);
        Ok(stores)
    };
    let address =
        start_gateway(&stores, identity, current, streams, reason, CancellationToken::new(), whole)?;
    tracing::info!(%address, "gateway listens");
    until_ended(shutdown, config.gateway.drain_time(), telemetry).await
}

/// `tidings projector`.
pub(crate) async fn projector(file: Option<&Path>) -> Result<ExitCode, Failure> {
    let config = configuration(file, SecretRule::Optional)?;
    let catalogs = catalogs::read(&config.schemas)?;
    let (shutdown, registry) = (Shutdown::new(), Registry::default());
    let telemetry = telemetry::start(&config.telemetry, "tidings-projector", &registry)?;
    let _metrics = Serving::start(&config.telemetry, &registry)?;
    let client = connect_counted(&config, "tidings-projector", &registry).await?;
    let topology = ensure(&config, &client).await?;
    stay_served(&topology, &shutdown);
    let tenants = catalogs.tenants();
    let whole = (&shutdown, &registry);
    let current = reload::keep_current(&config, catalogs, Some(&topology), whole, Reason::Hangup).await?;
    let shard = ShardNumber(config.projector.shard);
    let sources = follow_sources(file, &config, &shutdown)?;
    start_sources(topology.clone(), sources.clone(), whole);
    start_projector(&config, shard, current, topology, sources, whole)?;
    tracing::info!(tenants, %shard, "projector runs");
    until_ended(shutdown, Duration::ZERO, telemetry).await
}

/// Loads the configuration from the file and the environment.
pub(crate) fn configuration(file: Option<&Path>, rule: SecretRule) -> Result<Config, Failure> {
    Ok(load(file, environment(), rule)?)
}

/// Formats the loaded configuration as a file with every key.
pub(crate) fn effective_configuration(file: Option<&Path>) -> Result<String, Failure> {
    Ok(effective(file, environment())?)
}

/// The value of each key, and where it comes from.
pub(crate) fn settings(file: Option<&Path>) -> Result<Vec<Setting>, Failure> {
    Ok(config::settings(file, environment())?)
}

/// The environment variables that belong to the configuration.
fn environment() -> Vec<(OsString, OsString)> {
    let is_own = |name: &OsString| OWN_VARIABLES.iter().any(|own| name == *own);
    std::env::vars_os().filter(|(name, _)| !is_own(name)).collect()
}

/// Connects and creates or checks the streams.
pub(crate) async fn topology(config: &Config, name: &str) -> Result<Topology, Failure> {
    ensure(config, &connect(&connection(config, name)).await?).await
}

/// Connects, with the figures of the connection in the registry.
pub(crate) async fn connect_counted(
    config: &Config,
    name: &str,
    registry: &Registry,
) -> Result<Client, Failure> {
    let settings = connection(config, name);
    registry.register(&settings.figures);
    Ok(connect(&settings).await?)
}

/// Creates or checks the streams.
pub(crate) async fn ensure(config: &Config, client: &Client) -> Result<Topology, Failure> {
    let (settings, deadline) = (stores::stream_settings(config), Instant::now() + ELECTION);
    let mut backoff = Backoff::new();
    loop {
        match Topology::ensure(client, &settings).await {
            Err(error) if error.may_pass() && Instant::now() < deadline => {
                tracing::info!(%error, "NATS does not answer yet; trying again");
                backoff.failed();
                backoff.wait().await;
            }
            ensured => return Ok(ensured?),
        }
    }
}

/// Leaves NATS servers that are cut off from their cluster, as long as the process runs.
fn stay_served(topology: &Topology, shutdown: &Shutdown) {
    let (topology, stopped) = (topology.clone(), shutdown.token());
    shutdown.spawn("nats", async move {
        stopped.run_until_cancelled(leave_cut_off_servers(&topology)).await;
    });
}

pub(crate) fn connection(config: &Config, name: &str) -> ConnectSettings {
    ConnectSettings {
        url: config.nats.url.clone(),
        login: login(&config.nats),
        tls: TlsFiles {
            authorities: config.nats.tls_ca.clone(),
            identity: config.nats.tls_certificate.clone().zip(config.nats.tls_key.clone()),
        },
        timeout: config.nats.connect_timeout,
        name: name.to_owned(),
        figures: Arc::default(),
    }
}

/// Starts a gateway as a task and returns its address. It answers requests at once, and accepts clients when the
/// streams exist. `opened` is cancelled then.
pub(crate) fn start_gateway(
    config: &Config,
    identity: Option<Identity>,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    stores: impl Future<Output = Result<Stores, Failure>> + Send + 'static,
    reason: watch::Receiver<String>,
    opened: CancellationToken,
    (shutdown, registry): (&Shutdown, &Registry),
) -> Result<std::net::SocketAddr, Failure> {
    open_files::allow_all();
    let verifier = issuers::verifier(&config.access)?;
    let unsubscribe_keys = unsubscribe::keys(config)?;
    // Fresh tokens are checked until the last client has left.
    let served = CancellationToken::new();
    let keys = verifier.clone().keep_keys(served.clone());
    let (rules, settings, leeway) = (rules(config)?, config.gateway.clone(), config.access.leeway);
    let max_event_bytes = config.projector.max_event_bytes;
    let contact_claims = contact_claims(config);
    let listening = Listening::bind(&settings)?;
    let address = listening.address();
    if let Some(address) = listening.admin_address() {
        tracing::info!(%address, "the admin interface listens");
    }
    shutdown.spawn("keys", keys);
    let (whole, registry) = (shutdown.clone(), registry.clone());
    let running = async move {
        let _served = served.drop_guard();
        let waiting = listening.answer_until(&settings, identity.as_ref(), reason, stores);
        let Some(stores) = whole.token().run_until_cancelled(waiting).await else { return Ok(()) };
        let Stores { topology, consumers, users, keys, receipts, preferences, contacts } = stores?;
        let parts = Parts {
            settings: settings.clone(),
            name: gateway_name(),
            identity,
            leeway,
            rules,
            verifier,
            catalogs,
            consumers,
            users,
            keys,
            receipts,
            preferences,
            unsubscribe_keys,
            contacts,
            contact_claims,
            topology,
            max_event_bytes,
            registry,
            clock: OffsetDateTime::now_utc,
            random: fastrand::f64,
        };
        let gateway = Gateway::new(parts, listening);
        let is_open = gateway.opened();
        let telling = async {
            if is_open.await {
                opened.cancel();
            }
        };
        let (ended, ()) = tokio::join!(gateway.run(whole.clone()), telling);
        Ok::<_, Failure>(ended?)
    };
    let whole = shutdown.clone();
    shutdown.spawn("gateway", async move {
        if let Err(error) = Box::pin(running).await {
            report(&*error);
            whole.fail();
        }
    });
    Ok(address)
}

/// The machine's name, which operators look for, with a suffix that distinguishes gateways on it.
fn gateway_name() -> String {
    let machine = rustix::system::uname();
    let unique = Uuid::now_v7().simple().to_string();
    format!("{}-{}", machine.nodename().to_string_lossy(), unique.get(24..).unwrap_or(&unique))
}

/// The configured rules about which requests may carry which tokens.
pub(crate) fn rules(config: &Config) -> Result<Rules, Failure> {
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

/// The claims of tokens that are noted among users' contacts.
fn contact_claims(config: &Config) -> ContactClaims {
    let ContactsConfig { from_tokens, email_claim, phone_number_claim, unverified_claims, .. } =
        &config.contacts;
    let claim = |name: &String| from_tokens.then(|| name.clone());
    ContactClaims {
        email: claim(email_claim),
        phone_number: claim(phone_number_claim),
        unverified: *unverified_claims,
    }
}

/// The configured shards of tenants that start outside shard 0.
pub(crate) fn shards(config: &Config) -> Result<BTreeMap<Tenant, ShardNumber>, Failure> {
    let shards = config.streams.shards.iter();
    shards.map(|(tenant, shard)| Ok((Tenant::parse(tenant)?, ShardNumber(*shard)))).collect()
}

/// The configured sources, also when SIGHUP reloads them.
pub(crate) fn follow_sources(
    file: Option<&Path>,
    config: &Config,
    shutdown: &Shutdown,
) -> Result<projector::Sources, Failure> {
    let file = file.map(Path::to_owned);
    sources::follow(config, move || configuration(file.as_deref(), SecretRule::Optional), shutdown)
}

/// Starts copying the sources as a task.
pub(crate) fn start_sources(
    topology: Topology,
    sources: projector::Sources,
    (shutdown, registry): (&Shutdown, &Registry),
) {
    let copying = projector::copy_sources(topology, sources, registry.clone(), shutdown.token());
    shutdown.spawn("sources", Box::pin(copying));
}

/// Starts the projector of a shard as a task; its failure ends the process.
pub(crate) fn start_projector(
    config: &Config,
    shard: ShardNumber,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    topology: Topology,
    sources: projector::Sources,
    (shutdown, registry): (&Shutdown, &Registry),
) -> Result<(), Failure> {
    let settings = projector::Settings {
        consumer: config.projector.consumer.clone(),
        in_flight: config.projector.in_flight.get(),
        max_event_bytes: config.projector.max_event_bytes,
        shard,
        shards: shards(config)?,
        sources,
    };
    let (token, whole, registry) = (shutdown.token(), shutdown.clone(), registry.clone());
    shutdown.spawn("projector", async move {
        let running = projector::run(topology, catalogs, settings, OffsetDateTime::now_utc, registry, token);
        if let Err(error) = Box::pin(running).await {
            report(&error);
            whole.fail();
        }
    });
    Ok(())
}

/// Runs until a signal, or until a service fails; after a signal, the tasks have `drain_time` in addition.
pub(crate) async fn until_ended(
    shutdown: Shutdown,
    drain_time: Duration,
    telemetry: telemetry::Guard,
) -> Result<ExitCode, Failure> {
    let (second_signal, outcome) = (shutdown.on_signals()?, shutdown.clone());
    let clean = tokio::select! {
        signal = second_signal => std::process::exit(signal.exit_code().into()),
        clean = shutdown.finished(drain_time, SHUTDOWN) => clean,
    };
    if let Err(error) = telemetry.shutdown(FLUSH).await {
        report(&error);
    }
    let has_failed = outcome.has_failed();
    clean?;
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
