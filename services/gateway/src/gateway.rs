//! Starting, running and ending a gateway.
//!
//! The gateway supervises its parts: when a worker fails, new connections are refused, the other workers are drained, and
//! the gateway ends with the error.

use std::sync::Arc;
use std::time::Duration;

use tidings_access::{Rules, UnsubscribeKeys, Verifier};
use tidings_catalog::Catalogs;
use tidings_contacts::Contacts;
use tidings_metrics::{Registry, Tally};
use tidings_net::Identity;
use tidings_runtime::config::GatewayConfig;
use tidings_runtime::shutdown::Shutdown;
use tidings_streams::consumers::ConsumerStore;
use tidings_streams::deliveries::{GatewayLease, LEASE_RENEWAL};
use tidings_streams::keys::{ApiKeys, KeyWatch};
use tidings_streams::preferences::PreferenceStore;
use tidings_streams::users::{UserWatch, Users};
use tidings_streams::{Receipts, RepeatedFault, Topology};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::api::{Endpoint, Stage};
use crate::audit::Audit;
use crate::auth::Authenticator;
use crate::claimed_contacts::{ClaimedContacts, ContactClaims};
use crate::clock::Clock;
use crate::consumers::ConsumerCache;
use crate::context::Context;
use crate::error::{StartError, error_codes};
use crate::figures::HANDSHAKES;
use crate::limits::Limits;
use crate::listening::Listening;
use crate::readiness::Readiness;
use crate::shards::{ShardManager, answer_questions, watch_readiness};
use crate::worker::{Supervisor, Workers};

/// What a gateway is made of.
pub struct Parts {
    /// Its settings.
    pub settings: GatewayConfig,
    /// Its name, different from every other gateway's.
    pub name: String,
    /// Its certificate; without one, it does not speak TLS.
    pub identity: Option<Identity>,
    /// How far clocks may differ; a connection lasts that much longer than its token.
    pub leeway: Duration,
    /// Which requests may bring which tokens.
    pub rules: Rules,
    /// Checks the tokens.
    pub verifier: Verifier,
    /// The catalogs of the tenants that it serves; changes take effect while it runs.
    pub catalogs: watch::Receiver<Arc<Catalogs>>,
    /// The streams.
    pub topology: Topology,
    /// The longest event that the projector accepts; clients cannot publish a longer one.
    pub max_event_bytes: usize,
    /// Where durable consumers are kept.
    pub consumers: Arc<dyn ConsumerStore>,
    /// Disabled users and revoked tokens.
    pub users: Users,
    /// API keys of producers.
    pub keys: ApiKeys,
    /// What users want to be told by which channel, and when not.
    pub preferences: PreferenceStore,
    /// The keys of links by which users unsubscribe.
    pub unsubscribe_keys: UnsubscribeKeys,
    /// Which events were stored for producers.
    pub receipts: Receipts,
    /// Where users are reached who are not connected.
    pub contacts: Contacts,
    /// Which claims of tokens are noted among these.
    pub contact_claims: ContactClaims,
    /// Where its figures are collected.
    pub registry: Registry,
    /// The wall clock.
    pub clock: fn() -> OffsetDateTime,
    /// A random number from 0 to below 1.
    pub random: fn() -> f64,
}

/// A gateway that listens.
pub struct Gateway {
    context: Arc<Context>,
    listening: Listening,
    identity: Option<Identity>,
    stage: watch::Sender<Stage>,
}

impl Gateway {
    /// Takes over a listening socket. No request is answered before [`Gateway::run`].
    #[must_use]
    pub fn new(parts: Parts, listening: Listening) -> Self {
        let clock = Clock::from(parts.clock);
        let limits = Arc::new(Limits::new(&parts.settings, &parts.catalogs.borrow()));
        parts.registry.register(&limits);
        let ends = ["accepted"].into_iter().chain(error_codes().map(|(_, code, _)| code));
        let handshakes = Tally::register(&parts.registry, &HANDSHAKES, ends);
        let authenticator = Authenticator::new(
            (parts.rules, parts.verifier),
            parts.leeway,
            parts.catalogs.clone(),
            (parts.users, parts.keys),
            Arc::clone(&limits),
            clock,
        );
        let others = (parts.name.clone(), parts.topology.clone());
        let context = Arc::new(Context {
            limits,
            authenticator,
            settings: parts.settings,
            catalogs: parts.catalogs,
            topology: parts.topology,
            receipts: parts.receipts,
            claimed_contacts: ClaimedContacts::new(parts.contact_claims, parts.contacts.clone(), clock),
            contacts: parts.contacts,
            max_event_bytes: parts.max_event_bytes,
            clock,
            random: parts.random,
            consumers: ConsumerCache::new(parts.consumers, others, clock, &parts.registry),
            preferences: parts.preferences,
            unsubscribe_keys: parts.unsubscribe_keys,
            audit: Audit::default(),
            readiness: Readiness::default(),
            event_faults: RepeatedFault::default(),
            receipt_faults: RepeatedFault::default(),
            registry: parts.registry,
            handshakes,
            name: parts.name,
        });
        let (identity, stage) = (parts.identity, watch::Sender::new(Stage::Starting));
        Self { context, listening, identity, stage }
    }

    /// Returns when clients are served, with `true`; or when the gateway ends before, with `false`.
    pub fn opened(&self) -> impl Future<Output = bool> + Send + use<> {
        let mut stage = self.stage.subscribe();
        async move { stage.wait_for(|stage| matches!(stage, Stage::Open(..))).await.is_ok() }
    }

    /// Serves until it is told to end; then moves every connection to other gateways over the configured time, or at once
    /// if it is urgent, saves their positions and returns. Until the last one has left, new connections are refused.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StartError> {
        let Self { context, listening, stage, identity } = self;
        let ended = CancellationToken::new();
        let endpoint = Endpoint::new(Arc::clone(&context), stage.subscribe());
        let http = listening.serve(identity.as_ref(), &endpoint, &ended);
        let renewing = async {
            if let Some(identity) = identity {
                identity.keep_current(ended.clone()).await;
            }
        };
        let engine = async {
            let served = Box::pin(run(&context, &stage, &shutdown, &ended)).await;
            // Without it, no request can be served.
            ended.cancel();
            served
        };
        let ((), (), served) = tokio::join!(http, renewing, engine);
        served
    }
}

/// Loads the shards, serves, and ends when no connection is left.
async fn run(
    context: &Arc<Context>,
    stage: &watch::Sender<Stage>,
    shutdown: &Shutdown,
    ended: &CancellationToken,
) -> Result<(), StartError> {
    let prepared = shutdown.token().run_until_cancelled_owned(Box::pin(prepare(context, ended))).await;
    let Some(Prepared { mut manager, watches, workers, mut supervisor }) = prepared.transpose()? else {
        return Ok(());
    };
    let shards = manager.shards();
    stage.send_replace(Stage::Open(shards.clone(), workers.clone()));
    tracing::info!("the gateway is ready");

    let serving = async {
        let failure = tokio::select! {
            () = manager.keep() => None,
            () = shutdown.triggered() => None,
            failure = supervisor.failure() => Some(failure),
        };
        stage.send_replace(Stage::Draining);
        let later = drain(context, &workers, &mut supervisor, shutdown).await;
        ended.cancel();
        manager.stop().await;
        failure.or(later).map_or(Ok(()), Err)
    };
    let (served, ..) = tokio::join!(
        serving,
        context.authenticator.follow(watches, ended),
        answer_questions(context, &workers, ended),
        watch_readiness(context, &shards, ended),
        // Until the last connection has ended.
        context.consumers.run(ended.clone()),
        context.audit.run(ended),
        keep_lease(context, ended),
        context.claimed_contacts.run(ended),
    );
    served
}

/// Renews the lease by which a dispatcher knows that devices are still connected to this gateway. Without a dispatcher it
/// means nothing, and need not be stored.
async fn keep_lease(context: &Context, ended: &CancellationToken) {
    let lease = GatewayLease::new(&context.topology, &context.name);
    let mut renewal = tokio::time::interval(LEASE_RENEWAL);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while ended.run_until_cancelled(renewal.tick()).await.is_some() {
        if let Some(Err(error)) = ended.run_until_cancelled(lease.renew()).await {
            tracing::debug!(%error, "the lease of this gateway is not renewed");
        }
    }
}

/// Moves every connection to other gateways. The failure of a worker, if one fails meanwhile.
async fn drain(
    context: &Context,
    workers: &Workers,
    supervisor: &mut Supervisor,
    shutdown: &Shutdown,
) -> Option<StartError> {
    let time = context.settings.drain_time();
    tracing::info!(connections = workers.connections(), ?time, "the gateway is draining");
    supervisor.drain(workers, time, shutdown.urgent()).await
}

/// The parts of a gateway that is ready to serve.
struct Prepared {
    manager: ShardManager,
    watches: (UserWatch, KeyWatch),
    workers: Workers,
    supervisor: Supervisor,
}

async fn prepare(context: &Arc<Context>, ended: &CancellationToken) -> Result<Prepared, StartError> {
    let watches = context.authenticator.load().await;
    let (workers, supervisor) = Workers::start(context)?;
    let manager = ShardManager::open(context, &workers, ended).await?;
    context.readiness.set(None);
    Ok(Prepared { manager, watches, workers, supervisor })
}
