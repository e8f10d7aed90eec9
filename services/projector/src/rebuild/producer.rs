//! The producer of a rebuild: copies the envelopes from before the cut, and projects the events after it.
//!
//! It hands out both in the order of events, starting behind what the stream already holds of the generation.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::Catalogs;
use tidings_model::{
    Address, Class, Envelope, OriginOrder, Place, Placement, Position, Progress, RawEvent, Rebuild, Tenant,
};
use tidings_streams::{
    CopyError, DiscardError, EnvelopeCopies, EventHistory, ExtentError, HistoryError, Lease, PlacementError,
    QueryError, Retry, Topology, TopologyError, all_purges, discard_address, discard_generation,
    end_of_events, first_event, first_of_generation, is_done_before, last_event, last_of_generation,
    next_event,
};
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::Made;
use crate::dedup::Dedup;
use crate::placements::is_same;

/// How often it is checked whether live projecting has passed the cut.
const LOOK: Duration = Duration::from_millis(250);
/// How often progress is reported.
const REPORT: Duration = Duration::from_secs(1);

/// What every rebuild needs.
#[derive(Clone)]
pub(crate) struct RebuildContext {
    pub(crate) topology: Topology,
    /// The name of the durable consumers, as in shard 0.
    pub(crate) consumer: String,
    pub(crate) catalogs: watch::Receiver<Arc<Catalogs>>,
    pub(crate) max_event_bytes: usize,
    pub(crate) clock: fn() -> OffsetDateTime,
    pub(crate) lease: Lease,
}

impl RebuildContext {
    /// Whether this projector may write now. A rebuild belongs to one term.
    fn leads(&self) -> bool {
        self.lease.term().is_some_and(|term| self.lease.holds(term))
    }
}

pub(crate) struct Maker {
    workshop: RebuildContext,
    tenant: Tenant,
    /// Where the tenant's envelopes are until the switch.
    from: Place,
    rebuild: Rebuild,
    made: mpsc::Sender<Made>,
    retry: Retry,
    /// The last envelope that was stored or handed out.
    after: Option<OriginOrder>,
}

/// What is determined before the first envelope is produced.
struct Ground {
    /// The first event that is projected again.
    cut: Position,
    /// When the envelopes of an address were purged.
    purged: HashMap<Address, OffsetDateTime>,
}

impl Maker {
    pub(crate) fn new(
        workshop: &RebuildContext,
        tenant: &Tenant,
        from: Place,
        rebuild: &Rebuild,
        made: mpsc::Sender<Made>,
    ) -> Self {
        let (tenant, rebuild) = (tenant.clone(), rebuild.clone());
        let retry = Retry::to(format!("rebuild the envelopes of tenant {tenant}"));
        Self { workshop: workshop.clone(), tenant, from, rebuild, made, retry, after: None }
    }

    /// Produces envelopes as long as the receiver lives, and reports its progress. Waits during faults.
    pub(crate) async fn run(mut self, progress: watch::Receiver<Progress>) {
        let ground = loop {
            match self.prepare().await {
                Ok(ground) => break ground,
                Err(MakeError::Gone) => return,
                Err(error) => self.pause(&error).await,
            }
        };
        let report = report(self.workshop.clone(), self.tenant.clone(), self.rebuild.clone(), progress);
        let make = async {
            while let Err(error) = self.copy(&ground).await {
                if self.made.is_closed() {
                    return;
                }
                self.pause(&error).await;
            }
            while let Err(error) = Box::pin(self.project(&ground)).await {
                if self.made.is_closed() {
                    return;
                }
                self.pause(&error).await;
            }
        };
        tokio::select! {
            () = make => {}
            () = report => {}
        }
    }

    async fn pause(&mut self, error: &MakeError) {
        self.retry.failed(error);
        self.retry.wait().await;
    }

    /// Determines what is stored, and removes what must not be there.
    async fn prepare(&mut self) -> Result<Ground, MakeError> {
        let RebuildContext { topology, catalogs, .. } = &self.workshop;
        let (tenant, Place { generation, .. }) = (&self.tenant, self.rebuild.place);
        // In this order: another attempt that has begun did so behind this sequence, unless that is known by then.
        let last = topology.extent().await?.last;
        let placement = topology.placements().load(tenant).await?;
        let next = placement.next.as_ref().filter(|next| is_same(next, &self.rebuild));
        if !self.workshop.leads() {
            return Err(MakeError::NoLease);
        }
        if next.ok_or(MakeError::Gone)?.progress.is_none() {
            // Envelopes of another rebuild, which was cancelled.
            discard_generation(topology, tenant, generation, last).await?;
            let now = (self.workshop.clock)();
            say(topology, tenant, &self.rebuild, Progress { at: seconds(now), ..Progress::default() })
                .await?;
        }
        let purged = self.heed_purges(&placement).await?;
        let held_back = catalogs.borrow().get(tenant).and_then(tidings_catalog::Catalog::longest_interval);
        let since = self.rebuild.since.and_then(|since| {
            let since = OffsetDateTime::from_unix_timestamp(i64::try_from(since).ok()?).ok()?;
            // Envelopes that were held back then may not be written yet, and cannot be copied.
            Some(since - held_back.unwrap_or_default())
        });
        let cut = first_event(topology, tenant, since).await?;
        let stored = last_of_generation(topology, tenant, generation).await?;
        self.after = stored.map(|(origin, _)| origin.order());
        Ok(Ground { cut, purged })
    }

    /// Reads when the envelopes of which addresses were purged, and removes those that were stored behind a purge
    /// because they were in flight then.
    async fn heed_purges(
        &self,
        placement: &Placement,
    ) -> Result<HashMap<Address, OffsetDateTime>, MakeError> {
        let (own, tenant) = (&self.workshop.topology, &self.tenant);
        let generation = self.rebuild.place.generation;
        let mut shards: Vec<_> = placement.places().map(|place| place.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        let first = first_of_generation(own, tenant, generation).await?;
        let mut newest = HashMap::new();
        for shard in shards {
            for purged in all_purges(&own.on(shard).await?, tenant).await? {
                if shard == own.shard() && first.is_some_and(|(first, _)| first < purged.sequence) {
                    let before = first_event(own, tenant, Some(purged.at)).await?;
                    discard_address(own, tenant, generation, &purged.address, before).await?;
                }
                let at = newest.entry(purged.address).or_insert(purged.at);
                *at = purged.at.max(*at);
            }
        }
        Ok(newest)
    }

    /// Copies the envelopes of events before the cut.
    async fn copy(&mut self, ground: &Ground) -> Result<(), MakeError> {
        let cut = ground.cut;
        let is_copied = self.after.is_some_and(|after| after >= (cut.epoch.0, cut.sequence, 0));
        if !is_copied {
            self.copy_all(ground).await?;
        }
        let last = last_event(&self.workshop.topology, &self.tenant).await?;
        let passed = Position { sequence: cut.sequence.saturating_sub(1), ..cut };
        self.hand_out(Made::Reached { passed, last }).await
    }

    async fn copy_all(&mut self, ground: &Ground) -> Result<(), MakeError> {
        let topology = self.workshop.topology.clone();
        let from = topology.on(self.from.shard).await?;
        let consumer = self.from.shard.name(&self.workshop.consumer);
        while !is_done_before(&topology, &consumer, ground.cut).await? {
            tokio::time::sleep(LOOK).await;
        }
        let first = first_of_generation(&from, &self.tenant, self.from.generation).await?;
        if first.is_none_or(|(_, origin)| origin.event.is_at_or_behind(ground.cut)) {
            return Ok(());
        }
        let mut copies = EnvelopeCopies::open(&from, &self.tenant, self.from.generation, ground.cut).await?;
        while let Some(copy) = copies.next().await? {
            let (envelope, stored_at) = (copy.stored.envelope, copy.stored.stored_at);
            let ends = stored_at + topology.settings().envelopes_max_age;
            let kept_until = copy.kept_until.map_or(ends, |kept| kept.min(ends));
            let envelopes = self.kept(ground, vec![envelope], stored_at, kept_until);
            let last = envelopes.last().map(|envelope| envelope.origin.order());
            if last.is_some() {
                let (event, is_rejected, left) = (None, false, 0);
                self.hand_out(Made::Envelopes { event, envelopes, kept_until, is_rejected, left }).await?;
            }
            self.after = self.after.max(last);
        }
        Ok(())
    }

    /// Projects every event from the cut on, including new ones.
    async fn project(&mut self, ground: &Ground) -> Result<(), MakeError> {
        let topology = self.workshop.topology.clone();
        let mut passed = self.resume(ground).await?;
        let mut dedup = Dedup::new(topology.settings().duplicate_window);
        let mut history = EventHistory::open(&topology, &self.tenant, Some(passed), None).await?;
        loop {
            while let Some(event) = history.take() {
                passed = event.position;
                self.project_one(ground, &event, &mut dedup, history.left()).await?;
            }
            if tokio::time::timeout(REPORT, history.ready()).await.is_err() {
                // The tenant's last event may have been removed before it was read.
                let end = end_of_events(&topology).await?;
                let last = last_event(&topology, &self.tenant).await?;
                if last.is_none_or(|last| passed.is_at_or_behind(last)) {
                    let passed = Position { sequence: end.sequence.saturating_sub(1), ..end };
                    self.hand_out(Made::Reached { passed, last }).await?;
                }
            }
        }
    }

    /// The event behind which reading begins: early enough before the first projected event to know its possible
    /// repetitions.
    async fn resume(&self, ground: &Ground) -> Result<Position, MakeError> {
        let (topology, cut) = (&self.workshop.topology, ground.cut);
        // Parts of the last event may be missing.
        let stored = self.after.filter(|after| after.0 == cut.epoch.0);
        let first = stored.map_or(cut.sequence, |(_, sequence, _)| sequence.max(cut.sequence));
        let before = Position { sequence: first - 1, ..cut };
        let subject = format!("events.{}.>", self.tenant);
        let Some(event) = next_event(topology, &subject, before).await? else { return Ok(before) };
        let since = event.stored_at - topology.settings().duplicate_window;
        let begin = first_event(topology, &self.tenant, Some(since)).await?;
        Ok(Position { sequence: begin.sequence.saturating_sub(1).min(before.sequence), ..cut })
    }

    async fn project_one(
        &mut self,
        ground: &Ground,
        event: &RawEvent,
        dedup: &mut Dedup,
        left: u64,
    ) -> Result<(), MakeError> {
        let RebuildContext { catalogs, max_event_bytes, topology, .. } = &self.workshop;
        let kept_until = event.stored_at + topology.settings().envelopes_max_age;
        let catalogs = Arc::clone(&catalogs.borrow());
        let (projected, is_rejected) = match dedup.project(&catalogs, event, *max_event_bytes) {
            Ok(envelopes) => (envelopes, false),
            Err(_) => (Vec::new(), true),
        };
        if !event.position.is_at_or_behind(ground.cut) {
            return Ok(());
        }
        let envelopes = self.kept(ground, projected, event.stored_at, kept_until);
        let last = envelopes.last().map(|envelope| envelope.origin.order());
        let event = Some(event.position);
        self.hand_out(Made::Envelopes { event, envelopes, kept_until, is_rejected, left }).await?;
        self.after = self.after.max(last);
        Ok(())
    }

    /// Selects the envelopes that are to be written.
    fn kept(
        &self,
        ground: &Ground,
        mut envelopes: Vec<Envelope>,
        stored_at: OffsetDateTime,
        kept_until: OffsetDateTime,
    ) -> Vec<Envelope> {
        let now = (self.workshop.clock)();
        if kept_until <= now {
            return Vec::new();
        }
        envelopes.retain(|envelope| {
            let purged_at = ground.purged.get(&envelope.subject.address);
            envelope.subject.class != Class::Ephemeral
                && envelope.expires_at.is_none_or(|expires_at| expires_at > now)
                && purged_at.is_none_or(|purged_at| *purged_at < stored_at)
                && self.after.is_none_or(|after| envelope.origin.order() > after)
        });
        envelopes
    }

    async fn hand_out(&mut self, made: Made) -> Result<(), MakeError> {
        self.retry.succeeded();
        self.made.send(made).await.map_err(|_| MakeError::Gone)
    }
}

/// Reports progress from time to time.
async fn report(
    workshop: RebuildContext,
    tenant: Tenant,
    rebuild: Rebuild,
    progress: watch::Receiver<Progress>,
) {
    let mut ticks = tokio::time::interval(REPORT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !workshop.leads() {
            continue;
        }
        let said = Progress { at: seconds((workshop.clock)()), ..*progress.borrow() };
        if let Err(error) = say(&workshop.topology, &tenant, &rebuild, said).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot report progress; trying again");
        }
    }
}

async fn say(
    topology: &Topology,
    tenant: &Tenant,
    rebuild: &Rebuild,
    progress: Progress,
) -> Result<(), PlacementError> {
    let change = |placement: &mut Placement| {
        if let Some(next) = placement.next.as_mut().filter(|next| is_same(next, rebuild)) {
            next.progress = Some(progress);
        }
    };
    topology.placements().change(tenant, topology.shard(), change).await.map(drop)
}

fn seconds(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp()).unwrap_or_default()
}

/// Why the producer cannot go on right now.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error("the rebuild was cancelled")]
    Gone,
    #[error("this projector's lease has ended and is not renewed yet")]
    NoLease,
    #[error("cannot find the tenant's events")]
    Past(#[from] QueryError),
    #[error("cannot read the tenant's events")]
    History(#[from] HistoryError),
    #[error("cannot copy the tenant's envelopes")]
    Copy(#[from] CopyError),
    #[error("cannot remove unwanted envelopes")]
    Discard(#[from] DiscardError),
    #[error("cannot read the end of the shard's stream")]
    Extent(#[from] ExtentError),
    #[error("cannot use the shard where the envelopes are")]
    Topology(#[from] TopologyError),
    #[error("cannot read or update the placement")]
    Placement(#[from] PlacementError),
}
