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
use tidings_streams::{ExtentError, FollowError, PlacementError, Topology, TopologyError};
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::accept;
use crate::audit::Audit;
use crate::connections;
use crate::http::{Routes, Stage};
use crate::lanes::Keeper;
use crate::limits::Limits;
use crate::positions::Positions;
use crate::shared::Shared;
use crate::tls::Identity;
use crate::users::KnownUsers;

/// Connections that may wait to be accepted; the system bounds them further (`net.core.somaxconn` on
/// Linux). All clients of a gateway that ended come at once, and one that finds no room tries again
/// only after a second.
const BACKLOG: u32 = 16 * 1024;

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
    address: SocketAddr,
    identity: Option<Identity>,
    stage: watch::Sender<Stage>,
}

impl Gateway {
    /// Binds the address. Nobody is answered before [`Gateway::run`].
    pub fn start(parts: Parts) -> Result<Self, StartError> {
        let listen = parts.settings.listen;
        let admin = parts.settings.admin_listen.filter(|admin| *admin != listen);
        let admin = admin.map(|admin| bind("gateway.admin_listen", admin)).transpose()?;
        let admin = admin.map(|(listener, _)| listener);
        let (listener, address) = bind("gateway.listen", listen)?;
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
            name: parts.name,
        });
        let (identity, stage) = (parts.identity, watch::Sender::new(Stage::Starting));
        Ok(Self { shared, listener, admin, address, identity, stage })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin interface listens, if it has one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        match &self.admin {
            Some(listener) => listener.local_addr().ok(),
            None => self.shared.settings.admin_listen.map(|_| self.address),
        }
    }

    /// Serves until told to end; then moves everybody elsewhere over the configured time, or at once if it is
    /// urgent, saves their positions and returns. Until the last one has left, whoever comes is told to go
    /// elsewhere, too.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StartError> {
        let Self { shared, listener, admin, stage, identity, .. } = self;
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

/// Listens at the address that this key names, and says where that is.
fn bind(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listener = listen(address);
    let bound = listener.and_then(|listener| listener.local_addr().map(|bound| (listener, bound)));
    bound.map_err(|source| StartError::Listen { key, address, source })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A gateway that starts again does not wait for the connections of its predecessor to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
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
        // Until the last connection has ended.
        shared.positions.run(over.clone()),
        shared.audit.run(over),
    );
    Ok(())
}

async fn prepare(shared: &Arc<Shared>, over: &CancellationToken) -> Result<(Keeper, UserWatch), StartError> {
    let mut watch = shared.users.store().watch();
    shared.users.learn(watch.next().await);
    Ok((Keeper::open(shared, over).await?, watch))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// More than the 128 that libraries let wait by default.
    #[tokio::test]
    async fn many_may_wait_to_be_accepted() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        for _ in 0..512 {
            // A connection for which there is no room is not answered at all.
            let connecting = tokio::net::TcpStream::connect(address);
            let connected = tokio::time::timeout(Duration::from_secs(30), connecting).await;
            waiting.push(connected.expect("there is room").unwrap());
        }
    }
}
