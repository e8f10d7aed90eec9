//! Makes all envelopes from restored events, as a rebuild of every tenant does: with the times of the events, and without those
//! of users who were purged. The projectors for that run in this process, as no other one uses streams that are being restored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::Catalogs;
use tidings_metrics::Registry;
use tidings_model::{Placement, ShardNumber, Tenant};
use tidings_runtime::config::Config;
use tidings_runtime::shutdown::Shutdown;
use tidings_streams::Topology;
use tidings_streams::backup::Restore;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::catalogs::Read;
use crate::failure::Failure;
use crate::output::{ProgressLine, counted};
use crate::serve;
use crate::users::now;

/// Time between two looks at the progress.
const LOOK: Duration = Duration::from_millis(200);
/// How long the projectors may take to end.
const END: Duration = Duration::from_secs(10);

/// Makes the envelopes of all tenants that have a catalog.
pub(super) async fn all(
    file: Option<&Path>,
    config: &Config,
    read: Read,
    (restore, topology): (&Restore, &Topology),
) -> Result<(), Failure> {
    let configured = serve::shards(config)?;
    let shard_of = |tenant: &Tenant| configured.get(tenant).copied().unwrap_or_default();
    let tenants: BTreeMap<_, _> =
        read.texts.keys().map(|tenant| (tenant.clone(), shard_of(tenant))).collect();
    restore.request_envelopes(topology, &tenants, now()).await?;
    let shutdown = Shutdown::new();
    // Its catalogs do not change.
    let (_catalogs, catalogs) = watch::channel(Arc::clone(&read.catalogs));
    start(file, config, &catalogs, topology, &shutdown).await?;
    let waited = wait(topology, &read.catalogs, &shutdown).await;
    shutdown.trigger();
    shutdown.finished(Duration::ZERO, END).await?;
    waited
}

/// Starts a projector for each shard that has a tenant.
async fn start(
    file: Option<&Path>,
    config: &Config,
    catalogs: &watch::Receiver<Arc<Catalogs>>,
    topology: &Topology,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let placements = topology.placements().all().await?.placements;
    let shards: BTreeSet<ShardNumber> =
        placements.values().map(|placement| placement.current.place.shard).collect();
    let registry = Registry::default();
    for shard in shards {
        let sources = serve::follow_sources(file, config, shutdown)?;
        serve::start_projector(
            config,
            shard,
            catalogs.clone(),
            topology.clone(),
            sources,
            (shutdown, &registry),
        )?;
    }
    Ok(())
}

/// Waits until the envelopes of all tenants with a catalog are made.
async fn wait(topology: &Topology, catalogs: &Catalogs, shutdown: &Shutdown) -> Result<(), Failure> {
    let mut line = ProgressLine::new();
    loop {
        if shutdown.has_failed() {
            return Err("a projector has failed; run the restore again".into());
        }
        let all = topology.placements().all().await?.placements;
        let is_served = |tenant: &Tenant| catalogs.contains_key(tenant);
        let left: Vec<&Placement> = all
            .iter()
            .filter(|(tenant, placement)| is_served(tenant) && placement.next.is_some())
            .map(|(_, placement)| placement)
            .collect();
        if left.is_empty() {
            line.close();
            return Ok(());
        }
        let progress = left.iter().filter_map(|placement| placement.next.as_ref()?.progress);
        let (done, events) = progress.fold((0, 0), |(done, events), progress| {
            (done + progress.events, events + progress.events + progress.left)
        });
        let tenants = counted(left.len() as u64, "tenant");
        line.show(
            Some((done, events)),
            &format!("projecting {events} events; {tenants} left"),
            Instant::now(),
        )?;
        tokio::time::sleep(LOOK).await;
    }
}
