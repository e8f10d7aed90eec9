//! Starting and ending a gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tidings_access::{Rules, Verifier};
use tidings_catalog::Catalogs;
use tidings_model::Position;
use tidings_runtime::config::GatewayConfig;
use tidings_streams::{EnvelopeFollower, FollowError, Topology};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::follow::follow;
use crate::http;
use crate::retained::Retained;
use crate::shard::ShardHandle;

/// How much of the newest envelopes is kept in memory, in bytes.
const HOT_TAIL: usize = 64 * 1024 * 1024;

/// What a gateway is made of.
pub struct Parts {
    /// Its settings.
    pub settings: GatewayConfig,
    /// How far clocks may differ; a connection lasts that much longer than its token.
    pub leeway: Duration,
    /// Which requests may bring which tokens.
    pub rules: Rules,
    /// Checks the tokens.
    pub verifier: Verifier,
    /// The catalogs of the tenants that it serves.
    pub catalogs: Arc<Catalogs>,
    /// The streams.
    pub topology: Topology,
    /// The wall clock.
    pub clock: fn() -> OffsetDateTime,
}

/// What all parts of a running gateway share.
pub(crate) struct Shared {
    pub(crate) settings: GatewayConfig,
    pub(crate) leeway: Duration,
    pub(crate) rules: Rules,
    pub(crate) verifier: Verifier,
    pub(crate) catalogs: Arc<Catalogs>,
    pub(crate) topology: Topology,
    pub(crate) clock: fn() -> OffsetDateTime,
    pub(crate) retained: Arc<Retained>,
    /// New connections are welcome.
    pub(crate) open: AtomicBool,
}

/// A gateway that listens.
pub struct Gateway {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
    follower: EnvelopeFollower,
    shards: Arc<[ShardHandle]>,
    threads: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// Binds the address, takes its place in the stream and starts the shards. Nobody is served
    /// before [`Gateway::run`].
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        let listen = parts.settings.listen;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|source| StartError::Listen { address: listen, source })?;
        let address =
            listener.local_addr().map_err(|source| StartError::Listen { address: listen, source })?;
        let follower = EnvelopeFollower::from_now(&parts.topology).await.map_err(StartError::Follow)?;
        let position = Position { epoch: follower.epoch(), sequence: follower.last() };
        let count = match parts.settings.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let shared = Arc::new(Shared {
            retained: Arc::new(Retained::new(position.sequence, HOT_TAIL)),
            settings: parts.settings,
            leeway: parts.leeway,
            rules: parts.rules,
            verifier: parts.verifier,
            catalogs: parts.catalogs,
            topology: parts.topology,
            clock: parts.clock,
            open: AtomicBool::new(true),
        });
        let (mut shards, mut threads) = (Vec::new(), Vec::new());
        for index in 0..count {
            let (shard, thread) =
                ShardHandle::start(index, Arc::clone(&shared), position).map_err(StartError::Shard)?;
            shards.push(shard);
            threads.push(thread);
        }
        Ok(Self { shared, listener, address, follower, shards: shards.into(), threads })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until cancelled; then says goodbye to everybody and returns.
    pub async fn run(self, cancelled: CancellationToken) {
        let follow = follow(
            self.follower,
            Arc::clone(&self.shared.retained),
            Arc::clone(&self.shards),
            cancelled.child_token(),
        );
        let follow = tokio::spawn(follow);
        http::serve(self.listener, Arc::clone(&self.shared), Arc::clone(&self.shards), cancelled).await;
        self.shared.open.store(false, Ordering::Relaxed);
        if let Err(error) = follow.await {
            tracing::error!(%error, "the reading of ENVELOPES ended badly");
        }
        for shard in &*self.shards {
            shard.close().await;
        }
        let joined = tokio::task::spawn_blocking(move || {
            self.threads.into_iter().filter_map(|thread| thread.join().err()).count()
        });
        if joined.await.is_ok_and(|panicked| panicked > 0) {
            tracing::error!("a shard ended badly");
        }
    }
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}; is another program there? `gateway.listen` says where")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The stream cannot be read.
    #[error("the gateway cannot read stream ENVELOPES")]
    Follow(#[source] FollowError),
    /// A thread cannot be started.
    #[error("cannot start a shard")]
    Shard(#[source] std::io::Error),
}
