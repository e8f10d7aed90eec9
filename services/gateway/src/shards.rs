//! Which lane serves which tenant, kept as the bucket of placements says.
//!
//! A lane is opened when the first tenant has its envelopes there. When a tenant's have moved to another shard, its
//! connections are asked to come again, and find themselves in the other lane where they stood.

pub(crate) mod connection_service;
pub(crate) mod follow;
pub(crate) mod shard;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tidings_model::{Placement, Position, ShardNumber, Tenant};
use tidings_runtime::shutdown::Shutdown;
use tidings_streams::AllPlacements;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::Shared;
use crate::gateway::{Patience, StartError};
use crate::readiness;
use crate::shards::shard::{Lane, OpenLane, PreparedLane, Threads};
use crate::worker::ShardHandle;

/// How often it is looked whether a tenant has moved.
const LOOK: Duration = Duration::from_secs(1);
/// Over which time a tenant's connections are moved to another lane, at most.
const MOVING: Duration = Duration::from_secs(5);

/// The lanes that there are.
#[derive(Clone, Default)]
pub(crate) struct Lanes {
    open: BTreeMap<ShardNumber, OpenLane>,
    homes: HashMap<Tenant, ShardNumber>,
    /// Tenants whose record could not be read since this gateway started: nobody knows what to deliver to them.
    lost: BTreeSet<Tenant>,
    /// Of all lanes, in the order of their numbers.
    shards: Vec<ShardHandle>,
}

impl Lanes {
    /// The lane in which a tenant is served.
    pub(crate) fn of(&self, tenant: &Tenant) -> Option<&OpenLane> {
        let shard = self.homes.get(tenant).copied().unwrap_or_default();
        self.open.get(&shard)
    }

    /// Whether it is not known where the tenant's envelopes are.
    pub(crate) fn is_lost(&self, tenant: &Tenant) -> bool {
        self.lost.contains(tenant)
    }

    /// All lanes.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.open.values().map(|open| &*open.lane)
    }

    /// The shards of all lanes, in the order of their numbers.
    pub(crate) fn shards(&self) -> &[ShardHandle] {
        &self.shards
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.shards.iter().map(ShardHandle::connections).sum()
    }
}

/// Opens lanes and closes them.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    lanes: watch::Sender<Arc<Lanes>>,
    /// The state of the bucket that the lanes are kept by.
    revision: Option<Position>,
    threads: Threads,
    tasks: TaskTracker,
    over: CancellationToken,
}

impl Keeper {
    /// Opens the lanes that are needed.
    pub(crate) async fn open(shared: &Arc<Shared>, over: &CancellationToken) -> Result<Self, StartError> {
        let mut keeper = Self {
            shared: Arc::clone(shared),
            lanes: watch::Sender::default(),
            revision: None,
            threads: Vec::new(),
            tasks: TaskTracker::new(),
            over: over.clone(),
        };
        let mut patience = Patience::default();
        let AllPlacements { placements, unreadable } = loop {
            match shared.topology.placements().all().await {
                Ok(all) => break all,
                Err(error) => patience.wait(shared, error.into()).await?,
            }
        };
        keeper.lanes.send_modify(|lanes| Arc::make_mut(lanes).lost = unreadable);
        while let Err(error) = keeper.add(ShardNumber::default(), &placements).await {
            patience.wait(shared, error).await?;
        }
        while let Err(error) = keeper.look().await {
            patience.wait(shared, error).await?;
        }
        Ok(keeper)
    }

    /// The lanes as they are kept.
    pub(crate) fn lanes(&self) -> watch::Receiver<Arc<Lanes>> {
        self.lanes.subscribe()
    }

    /// Keeps the lanes up to date. May be dropped at any point.
    pub(crate) async fn keep(&mut self) {
        let mut said = String::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let reason = self.look().await.err().map(|error| readiness::chain(&error)).unwrap_or_default();
            if said != reason && !reason.is_empty() {
                tracing::warn!(reason, "where tenants' envelopes are is looked at later");
            }
            said = reason;
        }
    }

    /// Moves every connection elsewhere and ends all shards.
    pub(crate) async fn drain(self, time: Duration, shutdown: &Shutdown) {
        let lanes = Arc::clone(&self.lanes.borrow());
        tracing::info!(connections = lanes.connections(), ?time, "the gateway is draining");
        for shard in lanes.shards() {
            shard.drain(time).await;
        }
        let mut ended = pin!(join(self.threads));
        tokio::select! {
            () = &mut ended => {}
            () = shutdown.urgent() => {
                for shard in lanes.shards() {
                    shard.close().await;
                }
                ended.await;
            }
        }
        self.over.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn look(&mut self) -> Result<(), StartError> {
        let placements = self.shared.topology.placements();
        let revision = placements.revision().await?;
        if Some(revision) == self.revision {
            return Ok(());
        }
        let AllPlacements { placements: all, unreadable } = placements.all().await?;
        self.take_found(&all, &unreadable).await;
        for (tenant, placement) in &all {
            if self.shared.catalogs().contains_key(tenant) {
                self.settle(tenant, placement, &all).await?;
            }
        }
        self.revision = Some(revision);
        Ok(())
    }

    /// Serves those again whose record can be read now, or is gone. Of a tenant that is served, what was known before
    /// counts while its record cannot be read: nobody can request or finish a change meanwhile.
    async fn take_found(&mut self, all: &BTreeMap<Tenant, Placement>, unreadable: &BTreeSet<Tenant>) {
        let lanes = Arc::clone(&self.lanes.borrow());
        for tenant in lanes.lost.difference(unreadable) {
            let placement = all.get(tenant).cloned().unwrap_or_default();
            for open in lanes.open.values() {
                open.place(tenant, &placement).await;
            }
        }
        self.lanes
            .send_modify(|lanes| Arc::make_mut(lanes).lost.retain(|tenant| unreadable.contains(tenant)));
    }

    /// Has a tenant served where its envelopes are.
    async fn settle(
        &mut self,
        tenant: &Tenant,
        placement: &Placement,
        all: &BTreeMap<Tenant, Placement>,
    ) -> Result<(), StartError> {
        let current = placement.current;
        let lanes = Arc::clone(&self.lanes.borrow());
        let home = lanes.homes.get(tenant).copied().unwrap_or_default();
        let shard = current.place.shard;
        if !lanes.open.contains_key(&shard) {
            self.add(shard, all).await?;
        }
        let lanes = Arc::clone(&self.lanes.borrow());
        if let Some(open) = lanes.open.get(&shard)
            && open.lane.retained.generation(tenant).is_none()
            && current.since.is_none()
        {
            open.welcome(tenant, current.place.generation).await;
        }
        self.lanes.send_modify(|lanes| _ = Arc::make_mut(lanes).homes.insert(tenant.clone(), shard));
        if home != shard
            && let Some(left) = lanes.open.get(&home)
        {
            tracing::info!(%tenant, from = %home, to = %shard, "the tenant's envelopes have moved to another shard");
            let (generation, over) =
                (current.place.generation, MOVING.min(self.shared.settings.drain_time()));
            left.lane.retained.leave(tenant, generation);
            for handle in left.shards.iter() {
                handle.move_away(tenant.clone(), generation, over).await;
            }
        }
        Ok(())
    }

    async fn add(
        &mut self,
        shard: ShardNumber,
        placements: &BTreeMap<Tenant, Placement>,
    ) -> Result<(), StartError> {
        if !self.shared.positions.store().serves(shard) {
            return Err(StartError::Store(shard));
        }
        let prepared = PreparedLane::learn(&self.shared, shard, placements).await?;
        let position = prepared.position();
        let first = self.lanes.borrow().shards().len();
        let (open, threads, keeping) = prepared.start(&self.shared, first, &self.over)?;
        self.threads.extend(threads);
        self.tasks.spawn(keeping);
        self.lanes.send_modify(|lanes| {
            let lanes = Arc::make_mut(lanes);
            lanes.shards.extend(open.shards.iter().cloned());
            lanes.open.insert(shard, open);
        });
        tracing::info!(%shard, %position, "reading the shard's envelopes");
        Ok(())
    }
}

async fn join(threads: Threads) {
    let joined = tokio::task::spawn_blocking(move || {
        threads.into_iter().filter_map(|thread| thread.join().err()).count()
    });
    if joined.await.is_ok_and(|panicked| panicked > 0) {
        tracing::error!("a shard ended badly");
    }
}
