//! What the events before say of one that live projecting has read.
//!
//! A tenant's memory is filled when its first event with an id is read, from the events of a window before in `EVENTS`: by
//! a projector that starts or takes over, and when a tenant moves in. It is right as long as every event is seen, so it
//! is thrown away when some were passed over, which another projector has seen. What was read back is not known to have
//! been accepted; if it matters, `REJECTED` is asked. It does not have what was dropped by hand since: that counts as
//! accepted.

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

/// How long to wait for events that are said to be there.
const PATIENCE: Duration = Duration::from_secs(5);
/// Repetitions are counted in the log as often as this.
const REPORT: Duration = Duration::from_secs(60);

/// The memories of all tenants of a shard.
pub(crate) struct Recall {
    topology: Topology,
    rejections: Rejections,
    window: Duration,
    prints: Fingerprints,
    memories: HashMap<Tenant, Memory>,
    /// The last event that was seen.
    last: Option<Position>,
    repetitions: u64,
    reported: Option<Instant>,
}

/// What an event is.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// To be projected, and then [`Recall::accept`]ed if it is not rejected.
    New(Option<Occurrence>),
    /// It came before.
    Repetition,
    /// Another one has its id.
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

    /// Is told of every event that live projecting reads, before anything else. Of a tenant that is elsewhere, nothing is
    /// known.
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

    /// Whether an event came before.
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

    /// What the events of a window before this one say.
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
            tracing::info!(repetitions, subject = event.subject, "dropped events that came again");
            (self.repetitions, self.reported) = (0, Some(Instant::now()));
        }
    }
}

/// Which of a tenant's events were not accepted because of others with their ids, from `first` to `last`.
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

/// A tenant's events up to one of them, without it.
struct ReadBack {
    history: EventHistory,
    until: Position,
}

impl ReadBack {
    async fn open(
        topology: &Topology,
        tenant: &Tenant,
        since: OffsetDateTime,
        until: Position,
    ) -> Result<Self, RecallError> {
        let history = EventHistory::open(topology, tenant, None, Some(since)).await?;
        Ok(Self { history, until })
    }

    /// The next one with an id.
    async fn next(&mut self, prints: &Fingerprints) -> Result<Option<Occurrence>, RecallError> {
        loop {
            while let Some(raw) = self.history.take() {
                if raw.position.epoch != self.until.epoch || raw.position.sequence >= self.until.sequence {
                    return Ok(None);
                }
                // What is no event was rejected.
                let occurrence = raw.read().ok().and_then(|event| prints.of(&raw, &event));
                if occurrence.is_some() {
                    return Ok(occurrence);
                }
            }
            if self.history.left() == 0 {
                return Ok(None);
            }
            // What is left may have been removed just now; then it is begun again.
            timeout(PATIENCE, self.history.ready()).await?;
        }
    }
}

/// Takes an event over into the memory that may have been rejected.
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

/// The last event before this one with its source and id that was not rejected.
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
    // One that was rejected again since was rejected before.
    Ok(rejected.is_none_or(|rejected| rejected.sequence < found.last.sequence))
}

/// It cannot be found out now whether an event came before.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// `EVENTS` is not read.
    #[error("the tenant's events before it cannot be read")]
    History(#[from] HistoryError),
    /// NATS sends nothing.
    #[error("the tenant's events before it do not come")]
    Silence(#[from] Elapsed),
    /// `REJECTED` does not answer.
    #[error("it is not known whether the event before it was rejected")]
    Rejections(#[from] ReadRejectionError),
}
