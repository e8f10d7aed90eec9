//! The shards that a gateway reads: which tenant is served from which, kept as the bucket of placements says, and where a
//! returning consumer resumes.
//!
//! A shard is loaded when the first tenant has its envelopes there. When a tenant's envelopes have moved to another shard,
//! its connections follow; who looks for it meanwhile waits.

mod connection_service;
mod figures;
mod probe;
mod shard;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tidings_model::{Placement, Position, ShardNumber, Tenant};
use tidings_replica::{Replica, ResumeError, ResumePoint};
use tidings_streams::AllPlacements;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::connection_service::answer_questions;
pub(crate) use self::probe::watch_readiness;
use self::shard::Shard;
use crate::context::Context;
use crate::error::{ApiCode, ApiError, StartError, one_line};
use crate::worker::Workers;

/// How long to wait before the next attempt to start, or to serve tenants whose shard cannot be read.
const RETRY: Duration = Duration::from_secs(1);
/// How long to wait before looking again for the shard of a tenant.
const LOCATE: Duration = Duration::from_millis(50);

/// The shards that the gateway reads.
#[derive(Clone, Default)]
pub(crate) struct Shards {
    open: BTreeMap<ShardNumber, Shard>,
    homes: HashMap<Tenant, ShardNumber>,
    /// Tenants whose placement could not be read since this gateway started: it is not known what to deliver to them.
    lost: BTreeSet<Tenant>,
}

impl Shards {
    /// The shard that serves a tenant.
    fn of(&self, tenant: &Tenant) -> Option<(ShardNumber, &Arc<Replica>)> {
        let number = self.homes.get(tenant).copied().unwrap_or_default();
        self.open.get(&number).map(|shard| (number, shard.replica()))
    }

    /// Whether it is not known where the tenant's envelopes are.
    fn is_lost(&self, tenant: &Tenant) -> bool {
        self.lost.contains(tenant)
    }

    fn replicas(&self) -> impl Iterator<Item = &Replica> {
        self.open.values().map(|shard| &**shard.replica())
    }
}

/// Loads shards and keeps them up to date.
pub(crate) struct ShardManager {
    context: Arc<Context>,
    workers: Workers,
    shards: watch::Sender<Arc<Shards>>,
    tasks: TaskTracker,
    cancelled: CancellationToken,
}

impl ShardManager {
    /// Loads the shards that are needed. They are followed until cancelled.
    pub(crate) async fn open(
        context: &Arc<Context>,
        workers: &Workers,
        cancelled: &CancellationToken,
    ) -> Result<Self, StartError> {
        let mut manager = Self {
            context: Arc::clone(context),
            workers: workers.clone(),
            shards: watch::Sender::default(),
            tasks: TaskTracker::new(),
            cancelled: cancelled.clone(),
        };
        let mut retry = StartRetry::default();
        let AllPlacements { placements, unreadable } = loop {
            match context.topology.placements().all().await {
                Ok(all) => break all,
                Err(error) => retry.wait(context, error.into()).await?,
            }
        };
        manager.shards.send_modify(|shards| Arc::make_mut(shards).lost = unreadable);
        while let Err(error) = manager.add(ShardNumber::default(), &placements).await {
            retry.wait(context, error).await?;
        }
        while let Err(error) = manager.look().await {
            retry.wait(context, error).await?;
        }
        Ok(manager)
    }

    /// The shards as they are kept.
    pub(crate) fn shards(&self) -> watch::Receiver<Arc<Shards>> {
        self.shards.subscribe()
    }

    /// Keeps the shards up to date. May be dropped at any point.
    pub(crate) async fn keep(&mut self) {
        let mut watch = self.context.topology.placements().watch();
        let mut catalogs = self.context.catalogs.clone();
        let (mut all, mut fault) = (None, String::new());
        loop {
            {
                // Awaited to its end, since what it reads again after a fault may take longer than an attempt waits.
                let mut changed = pin!(watch.next());
                loop {
                    tokio::select! {
                        _ = &mut changed => break,
                        // A tenant that is new here may have been placed long ago.
                        Ok(()) = catalogs.changed() => {}
                        () = tokio::time::sleep(RETRY), if !fault.is_empty() => {}
                    }
                    // Before the bucket is read, every tenant that is lost would count as found.
                    if let Some(all) = &all {
                        fault = self.settle_known(all, fault).await;
                    }
                }
            }
            // What has changed together is looked at once.
            while watch.next().now_or_never().is_some() {}
            let known = all.insert(watch.known().clone());
            fault = self.settle_known(known, fault).await;
        }
    }

    /// Waits until the shards are not followed any more.
    pub(crate) async fn stop(self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn look(&mut self) -> Result<(), StartError> {
        let all = self.context.topology.placements().all().await?;
        self.settle_all(&all).await
    }

    /// Has every tenant served from the shard that its envelopes are in, and logs a fault that was not logged before.
    async fn settle_known(&mut self, all: &AllPlacements, logged: String) -> String {
        let fault = self.settle_all(all).await.err().map(|error| one_line(&error)).unwrap_or_default();
        if logged != fault && !fault.is_empty() {
            tracing::warn!(reason = fault, "cannot read the shards of all tenants; trying again");
        }
        fault
    }

    /// Has every tenant served from the shard that its envelopes are in.
    async fn settle_all(
        &mut self,
        AllPlacements { placements: all, unreadable }: &AllPlacements,
    ) -> Result<(), StartError> {
        self.place_found(all, unreadable).await;
        let catalogs = Arc::clone(&self.context.catalogs.borrow());
        // A shard whose stream cannot be used affects only the tenants in it.
        let mut failed = None;
        for (tenant, placement) in all.iter().filter(|(tenant, _)| catalogs.contains_key(*tenant)) {
            if let Err(error) = self.settle(tenant, placement, all).await {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Serves the tenants again whose placement can be read now, or is gone. While the placement of a tenant that is served
    /// cannot be read, the last known one counts: no change of it can be requested or finished meanwhile.
    async fn place_found(&mut self, all: &BTreeMap<Tenant, Placement>, unreadable: &BTreeSet<Tenant>) {
        let shards = Arc::clone(&self.shards.borrow());
        for tenant in shards.lost.difference(unreadable) {
            let placement = all.get(tenant).cloned().unwrap_or_default();
            for shard in shards.open.values() {
                shard.place(tenant, &placement).await;
            }
        }
        self.shards
            .send_modify(|shards| Arc::make_mut(shards).lost.retain(|tenant| unreadable.contains(tenant)));
    }

    /// Has a tenant served from the shard that its envelopes are in.
    async fn settle(
        &mut self,
        tenant: &Tenant,
        placement: &Placement,
        all: &BTreeMap<Tenant, Placement>,
    ) -> Result<(), StartError> {
        let current = placement.current;
        let shards = Arc::clone(&self.shards.borrow());
        let home = shards.homes.get(tenant).copied().unwrap_or_default();
        let number = current.place.shard;
        if !shards.open.contains_key(&number) {
            self.add(number, all).await?;
        }
        let shards = Arc::clone(&self.shards.borrow());
        if let Some(shard) = shards.open.get(&number)
            && !shard.replica().holds(tenant)
            && current.since.is_none()
        {
            shard.begin(tenant, current.place.generation, 0).await;
        }
        if shards.homes.get(tenant) != Some(&number) {
            self.shards.send_modify(|shards| _ = Arc::make_mut(shards).homes.insert(tenant.clone(), number));
        }
        if home != number
            && let Some(left) = shards.open.get(&home)
        {
            tracing::info!(%tenant, from = %home, to = %number, "the tenant's envelopes have moved to another shard");
            let generation = current.place.generation;
            left.replica().leave(tenant, generation);
            self.workers.move_tenant(tenant, (home, number), generation).await;
        }
        Ok(())
    }

    async fn add(
        &mut self,
        number: ShardNumber,
        placements: &BTreeMap<Tenant, Placement>,
    ) -> Result<(), StartError> {
        if !self.context.consumers.store().serves(number) {
            return Err(StartError::Store(number));
        }
        let at = (number, placements);
        let (shard, following) = Shard::open(&self.context, at, &self.workers, &self.cancelled).await?;
        self.tasks.spawn(following);
        self.shards.send_modify(|shards| _ = Arc::make_mut(shards).open.insert(number, shard));
        Ok(())
    }
}

/// Attempts to start that fail because NATS is not ready yet.
#[derive(Default)]
struct StartRetry {
    logged: String,
}

impl StartRetry {
    /// Logs the error and waits before the next attempt. An error that will not pass is returned.
    async fn wait(&mut self, context: &Context, error: StartError) -> Result<(), StartError> {
        if !may_pass(&error) {
            return Err(error);
        }
        let reason = one_line(&error);
        if self.logged != reason {
            tracing::warn!(error = &error as &dyn std::error::Error, "the gateway waits");
            context.readiness.set(Some(ApiError::new(ApiCode::Starting, reason.clone())));
            self.logged = reason;
        }
        tokio::time::sleep(RETRY).await;
        Ok(())
    }
}

/// Whether a later attempt to start may succeed without a change of the settings.
fn may_pass(error: &StartError) -> bool {
    match error {
        StartError::Listen(_)
        | StartError::Store(_)
        | StartError::Worker(_)
        | StartError::WorkerFailed { .. } => false,
        StartError::Topology(error) => error.may_pass(),
        StartError::Placement(error) => tidings_streams::may_pass(error),
        StartError::Extent(error) => tidings_streams::may_pass(error),
        StartError::Follow(error) => tidings_streams::may_pass(error),
    }
}

/// The shard that serves a tenant.
pub(crate) async fn find_shard(
    shards: &watch::Receiver<Arc<Shards>>,
    tenant: &Tenant,
) -> Result<(ShardNumber, Arc<Replica>), ResumeError> {
    loop {
        if shards.borrow().is_lost(tenant) {
            return Err(ResumeError::Lost);
        }
        let found = shards.borrow().of(tenant).map(|(number, replica)| (number, Arc::clone(replica)));
        if let Some((number, replica)) = found
            && replica.holds(tenant)
        {
            return Ok((number, replica));
        }
        tokio::time::sleep(LOCATE).await;
    }
}

/// The shard of a tenant, and where a consumer resumes that has read up to `position`, which may belong to an earlier
/// generation or another shard. Waits while this gateway has not read as far as the tenant's envelopes.
pub(crate) async fn resume(
    shards: &watch::Receiver<Arc<Shards>>,
    tenant: &Tenant,
    position: Position,
) -> Result<(ShardNumber, Arc<Replica>, ResumePoint), ResumeError> {
    loop {
        let (number, replica) = find_shard(shards, tenant).await?;
        if let Some(resume) = replica.resume(tenant, position).await? {
            return Ok((number, replica, resume));
        }
        tokio::time::sleep(LOCATE).await;
    }
}
