//! One reader of what is due for each tenant of the shard, so that no tenant waits for the receivers of another.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::Catalogs;
use tidings_model::{DeliveryName, ShardNumber, Tenant};
use tidings_streams::deliveries::Due;
use tidings_streams::{AllPlacements, Retry};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::deliver::Deliverer;
use crate::presence;

/// How many attempts a tenant has under way.
const AT_ONCE: usize = 32;
/// How long attempts may take to end when the dispatcher stops.
const LAST_ATTEMPTS: Duration = Duration::from_secs(5);

/// Sends what is due for the tenants of the shard, until it is stopped.
pub(crate) async fn send(deliverer: &Deliverer, stopping: &CancellationToken) {
    let mut placements = deliverer.topology.placements().watch();
    let mut catalogs = deliverer.parts.catalogs.clone();
    let mut senders: BTreeMap<Tenant, AbortOnDropHandle<()>> = BTreeMap::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            _ = placements.next() => {}
            Ok(()) = catalogs.changed() => {}
        }
        let served = Arc::clone(&catalogs.borrow_and_update());
        let wanted = tenants(deliverer, &served, placements.known());
        deliverer.tenants.send_replace(wanted.clone());
        senders.retain(|tenant, _| wanted.contains(tenant));
        for tenant in wanted {
            senders.entry(tenant.clone()).or_insert_with(|| {
                let (deliverer, stopping) = (deliverer.clone(), stopping.clone());
                AbortOnDropHandle::new(tokio::spawn(async move {
                    let telling = presence::tell(&deliverer, &tenant, &stopping);
                    tokio::join!(send_due(&deliverer, &tenant, &stopping), telling);
                }))
            });
        }
    }
    for (_, sender) in senders {
        if let Err(error) = sender.await {
            tracing::error!(%error, "a task that delivers has ended");
        }
    }
}

/// The served tenants whose envelopes are in this shard.
fn tenants(deliverer: &Deliverer, served: &Catalogs, placements: &AllPlacements) -> BTreeSet<Tenant> {
    let shard = deliverer.topology.shard();
    let is_here = |tenant: &&Tenant| {
        let placement = placements.placements.get(*tenant);
        !placements.unreadable.contains(*tenant)
            && placement.map_or_else(ShardNumber::default, |placement| placement.current.place.shard) == shard
    };
    served.keys().filter(is_here).cloned().collect()
}

async fn send_due(deliverer: &Deliverer, tenant: &Tenant, stopping: &CancellationToken) {
    let mut retry = Retry::to("read what is due");
    let mut reader = loop {
        match deliverer.parts.deliveries.due(tenant).await {
            Ok(reader) => break reader,
            Err(error) => retry.failed(&error),
        }
        retry.wait().await;
    };
    retry.succeeded();
    let mut running = Running::default();
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            Some(ended) = running.tasks.join_next() => running.end(deliverer, ended),
            due = reader.next(), if running.has_room() => running.start(deliverer, due),
        }
    }
    let last = async { while running.tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ATTEMPTS, last).await.is_err() {
        tracing::warn!(%tenant, "attempts did not end in time; the next dispatcher repeats them");
    }
}

/// The deliveries of a tenant that are under way.
#[derive(Default)]
struct Running {
    tasks: JoinSet<DeliveryName>,
    names: HashSet<DeliveryName>,
    /// Those of which another one with the same name is under way: JetStream may store what is due twice.
    later: VecDeque<Due>,
}

impl Running {
    fn has_room(&self) -> bool {
        self.tasks.len() + self.later.len() < AT_ONCE
    }

    fn start(&mut self, deliverer: &Deliverer, due: Due) {
        if !self.names.insert(due.name.clone()) {
            return self.later.push_back(due);
        }
        let deliverer = deliverer.clone();
        self.tasks.spawn(async move {
            deliverer.figures.due(1);
            deliverer.deliver(&due).await;
            deliverer.figures.due(-1);
            due.name
        });
    }

    fn end(&mut self, deliverer: &Deliverer, ended: Result<DeliveryName, tokio::task::JoinError>) {
        match ended {
            Ok(name) => _ = self.names.remove(&name),
            Err(error) => tracing::error!(%error, "a task that delivers has ended"),
        }
        for due in std::mem::take(&mut self.later) {
            self.start(deliverer, due);
        }
    }
}
