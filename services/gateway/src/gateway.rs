//! Starting and ending a gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidings_access::{Rules, TokenPlace, Verifier};
use tidings_catalog::Catalogs;
use tidings_model::ShardNumber;
use tidings_runtime::config::GatewayConfig;
use tidings_runtime::shutdown::Shutdown;
use tidings_streams::consumers::ConsumerStore;
use tidings_streams::users::{UserWatch, Users};
use tidings_streams::{ExtentError, FollowError, PlacementError, Topology, TopologyError, may_pass};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::websocket::{Routes, Stage};
use crate::audit::Audit;
use crate::auth::disabled_users::KnownUsers;
use crate::consumers::Positions;
use crate::context::Shared;
use crate::limits::Limits;
use crate::net::listener::Listening;
use crate::net::serve as accept;
use crate::net::tls::Identity;
use crate::readiness::{self, Readiness, Trouble};
use crate::shards::Keeper;
use crate::shards::connection_service as connections;

/// How long to wait before NATS is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// What a gateway is made of.
pub struct Parts {
    /// Its settings.
    pub settings: GatewayConfig,
    /// Its name, different from every other gateway's.
    pub name: String,
    /// What it shows itself with; without it, it does not speak TLS.
    pub identity: Option<Identity>,
    /// How far clocks may differ; a connection lasts that much longer than its token.
    pub leeway: Duration,
    /// Which requests may bring which tokens.
    pub rules: Rules,
    /// Checks the tokens.
    pub verifier: Verifier,
    /// The catalogs of the tenants that it serves; as they change, they are taken up.
    pub catalogs: watch::Receiver<Arc<Catalogs>>,
    /// The streams.
    pub topology: Topology,
    /// What the projector takes at most; of what clients say, nothing larger is published.
    pub max_event_bytes: usize,
    /// Where users' positions are kept.
    pub consumers: Arc<dyn ConsumerStore>,
    /// Who is switched off.
    pub users: Users,
    /// The wall clock.
    pub clock: fn() -> OffsetDateTime,
    /// A random number from 0 to below 1.
    pub random: fn() -> f64,
}

/// A gateway that listens.
pub struct Gateway {
    shared: Arc<Shared>,
    listener: TcpListener,
    /// Of the admin interface, where it has an address of its own.
    admin: Option<TcpListener>,
    identity: Option<Identity>,
    stage: watch::Sender<Stage>,
}

impl Gateway {
    /// Takes over a listening socket. Nobody is answered before [`Gateway::run`].
    #[must_use]
    pub fn new(parts: Parts, listening: Listening) -> Self {
        let catalogs = Arc::clone(&parts.catalogs.borrow());
        let shared = Arc::new(Shared {
            limits: Limits::new(&parts.settings, &catalogs),
            settings: parts.settings,
            leeway: parts.leeway,
            admin_rules: Rules { places: vec![TokenPlace::Header], ..parts.rules.clone() },
            rules: parts.rules,
            verifier: parts.verifier,
            catalogs: parts.catalogs,
            topology: parts.topology,
            max_event_bytes: parts.max_event_bytes,
            clock: parts.clock,
            random: parts.random,
            positions: Positions::new(parts.consumers, parts.name.clone(), parts.clock),
            users: KnownUsers::new(parts.users),
            audit: Audit::default(),
            readiness: Readiness::default(),
            name: parts.name,
        });
        let (identity, stage) = (parts.identity, watch::Sender::new(Stage::Starting));
        let (listener, admin) = listening.into_listeners();
        Self { shared, listener, admin, identity, stage }
    }

    /// Returns when clients are served, with `true`; or when the gateway ends before, with `false`.
    pub fn opened(&self) -> impl Future<Output = bool> + Send + use<> {
        let mut stage = self.stage.subscribe();
        async move { stage.wait_for(|stage| matches!(stage, Stage::Open(_))).await.is_ok() }
    }

    /// Serves until told to end; then moves everybody elsewhere over the configured time, or at once if it is
    /// urgent, saves their positions and returns. Until the last one has left, whoever comes is told to go
    /// elsewhere, too.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StartError> {
        let Self { shared, listener, admin, stage, identity } = self;
        let over = CancellationToken::new();
        let tls = identity.as_ref().map(Identity::acceptor);
        let shared_address = shared.settings.admin_listen == Some(shared.settings.listen);
        let routes = if shared_address { Routes::All } else { Routes::Clients };
        let accept = |listener, routes| {
            accept::serve(listener, routes, tls.clone(), Arc::clone(&shared), stage.subscribe(), over.clone())
        };
        let http = accept(listener, routes);
        let administration = async {
            if let Some(listener) = admin {
                accept(listener, Routes::Admin).await;
            }
        };
        let renewing = async {
            if let Some(identity) = identity {
                identity.keep_current(over.clone()).await;
            }
        };
        let engine = async {
            let ended = Box::pin(serve(&shared, &stage, &shutdown, &over)).await;
            // Without an engine there is nothing to be had here.
            over.cancel();
            ended
        };
        let ((), (), (), ended) = tokio::join!(http, administration, renewing, engine);
        ended
    }
}

/// Learns what lies where, opens the lanes, and keeps them until nobody is connected any more.
async fn serve(
    shared: &Arc<Shared>,
    stage: &watch::Sender<Stage>,
    shutdown: &Shutdown,
    over: &CancellationToken,
) -> Result<(), StartError> {
    let prepared = shutdown.token().run_until_cancelled_owned(Box::pin(prepare(shared, over))).await;
    let Some((mut keeper, watch)) = prepared.transpose()? else { return Ok(()) };
    let lanes = keeper.lanes();
    stage.send_replace(Stage::Open(lanes.clone()));
    tracing::info!("the gateway is ready");

    let keeping = async {
        tokio::select! {
            () = keeper.keep() => {}
            () = shutdown.triggered() => {}
        }
        stage.send_replace(Stage::Draining);
        keeper.drain(shared.settings.drain_time(), shutdown).await;
    };
    tokio::join!(
        keeping,
        shared.users.run(watch, over),
        connections::answer(shared, &lanes, over),
        readiness::keep(shared, &lanes, over),
        // Until the last connection has ended.
        shared.positions.run(over.clone()),
        shared.audit.run(over),
    );
    Ok(())
}

async fn prepare(shared: &Arc<Shared>, over: &CancellationToken) -> Result<(Keeper, UserWatch), StartError> {
    let mut watch = shared.users.store().watch();
    shared.users.learn(watch.next().await);
    let keeper = Keeper::open(shared, over).await?;
    shared.readiness.set(None);
    Ok((keeper, watch))
}

/// Attempts at something that NATS may not be able to do now.
#[derive(Default)]
pub(crate) struct Patience {
    said: String,
}

impl Patience {
    /// Waits before the next attempt, and says why. What will not pass is an error.
    pub(crate) async fn wait(&mut self, shared: &Shared, error: StartError) -> Result<(), StartError> {
        if !error.may_pass() {
            return Err(error);
        }
        let reason = readiness::chain(&error);
        if self.said != reason {
            tracing::warn!(error = &error as &dyn std::error::Error, "the gateway waits");
            shared.readiness.set(Some(Trouble::starting(reason.clone())));
            self.said = reason;
        }
        tokio::time::sleep(RETRY).await;
        Ok(())
    }
}

impl StartError {
    /// Whether it may be otherwise a moment later, without anybody changing a setting.
    fn may_pass(&self) -> bool {
        match self {
            Self::Listen { .. } | Self::Store(_) | Self::Shard(_) => false,
            Self::Topology(error) => error.may_pass(),
            Self::Placement(error) => may_pass(error),
            Self::Extent(error) => may_pass(error),
            Self::Follow(error) => may_pass(error),
        }
    }
}

/// Why a gateway cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}; is another program there? `{key}` says where")]
    Listen {
        /// The key that names the address.
        key: &'static str,
        /// The configured address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// It is not known where tenants' envelopes are.
    #[error("the gateway cannot find out which streams to read")]
    Placement(#[from] PlacementError),
    /// Positions of its tenants cannot be kept.
    #[error(
        "the gateway cannot serve tenants in shard {0} with their consumers in JetStream; set `consumers.store = \"kv\"`"
    )]
    Store(ShardNumber),
    /// A stream is not as it should be.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The stream's state cannot be read.
    #[error("the gateway cannot find its place in the stream")]
    Extent(#[from] ExtentError),
    /// The stream cannot be read.
    #[error("the gateway cannot read the stream")]
    Follow(#[from] FollowError),
    /// A thread cannot be started.
    #[error("cannot start a shard")]
    Shard(#[source] std::io::Error),
}
