//! Decides whether an event that live projecting has read is a repetition.
//!
//! A tenant's memory is filled from the events of one window before in `EVENTS` when the tenant's first event with an
//! id is read: after a start, after a takeover, and when a tenant moves in. The memory is right as long as this
//! projector sees every event. It is discarded when events were passed over, because another projector has seen
//! those. Whether an event that was read back had been accepted is unknown; where it matters, `REJECTED` is read. An
//! event that an operator has dropped from `REJECTED` since counts as accepted.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tidings_catalog::Rejection;
use tidings_model::{Event, Position, RawEvent, Tenant};
use tidings_streams::{EventHistory, HistoryError, ReadRejectionError, Rejections, Topology};
use time::OffsetDateTime;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use super::fingerprint::{Fingerprints, Occurrence};
use super::memory::{Found, Memory};
use super::reused;
use super::scheduled::ScheduleMemory;

/// How long to wait for events that the stream reports as present.
const PATIENCE: Duration = Duration::from_secs(5);
/// The interval in which the number of repetitions is logged.
const REPORT: Duration = Duration::from_secs(60);

/// The memories of all tenants of a shard.
pub(crate) struct Recall {
    topology: Topology,
    rejections: Rejections,
    window: Duration,
    prints: Fingerprints,
    memories: HashMap<Tenant, Memory>,
    /// The last event that was read.
    last: Option<Position>,
    repetitions: u64,
    reported: Option<Instant>,
}

/// The verdict about an event.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// To be projected, and then passed to [`Recall::accept`] if it is not rejected.
    New(Option<Occurrence>),
    /// It repeats an earlier event.
    Repetition,
    /// It reuses the id of a different event.
    Reused(Rejection),
}

impl Recall {
    pub(crate) fn new(topology: &Topology) -> Self {
        Self {
            topology: topology.clone(),
            rejections: Rejections::new(topology),
            window: topology.settings().duplicate_window,
            prints: Fingerprints::default(),
            memories: HashMap::new(),
            last: None,
            repetitions: 0,
            reported: None,
        }
    }

    /// Notes each event that live projecting reads; must be called first. Forgets a tenant that is in another shard.
    pub(crate) fn follow(&mut self, tenant: &str, event: Position, is_here: bool) {
        let is_next = |last: Position| last.epoch == event.epoch && last.sequence + 1 == event.sequence;
        if !self.last.is_some_and(is_next) {
            self.memories.clear();
        }
        if !is_here {
            self.memories.remove(tenant);
        }
        self.last = Some(event);
    }

    /// Decides whether an event is a repetition.
    pub(crate) async fn judge(&mut self, raw: &RawEvent, event: &Event) -> Result<Verdict, RecallError> {
        let Some(occurrence) = self.prints.of(raw, event) else { return Ok(Verdict::New(None)) };
        let tenant = &event.tenant;
        if !self.memories.contains_key(tenant) {
            let memory = Box::pin(self.filled(raw, tenant)).await?;
            self.memories.insert(tenant.clone(), memory);
        }
        let Some(memory) = self.memories.get_mut(tenant) else { return Ok(Verdict::New(None)) };
        match certain(&self.rejections, tenant, memory, &occurrence).await? {
            None => Ok(Verdict::New(Some(occurrence))),
            Some(found) if found.is_same => {
                memory.remember(occurrence, true);
                self.count(raw, &found);
                Ok(Verdict::Repetition)
            }
            Some(found) => Ok(Verdict::Reused(reused(event, &found))),
        }
    }

    /// Fills a memory with the events of one window before this one.
    async fn filled(&self, raw: &RawEvent, tenant: &Tenant) -> Result<Memory, RecallError> {
        let mut memory = Memory::new(self.window);
        let since = raw.stored_at - self.window;
        let mut back = ReadBack::open(&self.topology, tenant, since, raw.position).await?;
        while let Some(occurrence) = back.next(&self.prints).await? {
            read_back(&self.rejections, tenant, &mut memory, occurrence).await?;
        }
        Ok(memory)
    }

    /// Notes that an event was not rejected.
    pub(crate) fn accept(&mut self, tenant: &Tenant, occurrence: Option<Occurrence>) {
        if let (Some(memory), Some(occurrence)) = (self.memories.get_mut(tenant), occurrence) {
            memory.remember(occurrence, true);
        }
    }

    /// Notes that an event was rejected after it was accepted.
    pub(crate) fn forget(&mut self, event: &RawEvent) {
        if let Some(memory) = event.tenant().and_then(|tenant| self.memories.get_mut(tenant)) {
            memory.forget(event.position.sequence);
        }
    }

    fn count(&mut self, event: &RawEvent, found: &Found) {
        self.repetitions += 1;
        tracing::debug!(subject = event.subject, event = %event.position, of = found.last.sequence, "repetition dropped");
        if self.reported.is_none_or(|reported| reported.elapsed() >= REPORT) {
            let repetitions = self.repetitions;
            tracing::info!(repetitions, subject = event.subject, "dropped repetitions of events");
            (self.repetitions, self.reported) = (0, Some(Instant::now()));
        }
    }
}

/// Finds which of a tenant's events from `first` to `last` were dropped or rejected because of earlier events with
/// their ids.
pub(crate) async fn dropped(
    topology: &Topology,
    tenant: &Tenant,
    first: &RawEvent,
    last: Position,
) -> Result<BTreeSet<u64>, RecallError> {
    let (rejections, prints) = (Rejections::new(topology), Fingerprints::default());
    let window = topology.settings().duplicate_window;
    let mut memory = Memory::new(window);
    let until = Position { sequence: last.sequence.saturating_add(1), ..last };
    let mut back = ReadBack::open(topology, tenant, first.stored_at - window, until).await?;
    let mut dropped = BTreeSet::new();
    while let Some(occurrence) = back.next(&prints).await? {
        if certain(&rejections, tenant, &mut memory, &occurrence).await?.is_some() {
            dropped.insert(occurrence.sequence);
        }
        read_back(&rejections, tenant, &mut memory, occurrence).await?;
    }
    Ok(dropped)
}

/// Reads a tenant's events up to, and without, a given one.
struct ReadBack {
    history: EventHistory,
    until: Position,
    schedules: ScheduleMemory,
}

impl ReadBack {
    async fn open(
        topology: &Topology,
        tenant: &Tenant,
        since: OffsetDateTime,
        until: Position,
    ) -> Result<Self, RecallError> {
        let history = EventHistory::open(topology, tenant, None, Some(since)).await?;
        Ok(Self { history, until, schedules: ScheduleMemory::default() })
    }

    /// The next event with an id.
    async fn next(&mut self, prints: &Fingerprints) -> Result<Option<Occurrence>, RecallError> {
        loop {
            while let Some(raw) = self.history.take() {
                if raw.position.epoch != self.until.epoch || raw.position.sequence >= self.until.sequence {
                    return Ok(None);
                }
                // An event that cannot be parsed was rejected.
                let Ok(event) = raw.read() else { continue };
                // One that was due and did not count leaves its id to the one that has replaced it.
                if self.schedules.passes(prints.schedule(&event), &event)
                    && let Some(occurrence) = prints.of(&raw, &event)
                {
                    return Ok(Some(occurrence));
                }
            }
            if self.history.has_read_all().await? {
                return Ok(None);
            }
            // The rest may have been removed just now; then the reading starts again.
            timeout(PATIENCE, self.history.ready()).await?;
        }
    }
}

/// Adds an event that may have been rejected to the memory.
async fn read_back(
    rejections: &Rejections,
    tenant: &Tenant,
    memory: &mut Memory,
    occurrence: Occurrence,
) -> Result<(), RecallError> {
    let is_certain = match memory.find(&occurrence) {
        Some(found) if found.is_same => found.is_certain,
        Some(found) if is_accepted(rejections, tenant, &found).await? => {
            memory.confirm(&found);
            return Ok(());
        }
        _ => false,
    };
    memory.remember(occurrence, is_certain);
    Ok(())
}

/// Finds the last event before this one with its source and id that was not rejected.
async fn certain(
    rejections: &Rejections,
    tenant: &Tenant,
    memory: &mut Memory,
    occurrence: &Occurrence,
) -> Result<Option<Found>, RecallError> {
    let Some(found) = memory.find(occurrence) else { return Ok(None) };
    if is_accepted(rejections, tenant, &found).await? {
        memory.confirm(&found);
        return Ok(Some(found));
    }
    memory.free(&found);
    Ok(None)
}

async fn is_accepted(rejections: &Rejections, tenant: &Tenant, found: &Found) -> Result<bool, RecallError> {
    if found.is_certain {
        return Ok(true);
    }
    let rejected = rejections.rejected_at(tenant, found.last.first).await?;
    // An event that was rejected again since had been rejected before.
    Ok(rejected.is_none_or(|rejected| rejected.sequence < found.last.sequence))
}

/// Whether an event is a repetition cannot be determined right now.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// `EVENTS` cannot be read.
    #[error("cannot read the tenant's earlier events")]
    History(#[from] HistoryError),
    /// NATS sends nothing.
    #[error("NATS does not send the tenant's earlier events")]
    Silence(#[from] Elapsed),
    /// `REJECTED` cannot be read.
    #[error("cannot determine whether the earlier event was rejected")]
    Rejections(#[from] ReadRejectionError),
}
