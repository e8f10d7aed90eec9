//! Deduplication: an event with a given source and id counts once per tenant and window.
//!
//! An event is a repetition if an event with the same source and id was stored less than `streams.duplicate_window`
//! before. If its content is the same, it is dropped. If its content differs, its producer made a mistake: the event
//! goes to `REJECTED` with the reason `id-reused`. Times are those at which `EVENTS` stored the events, so a replay
//! decides alike.

mod fingerprint;
mod memory;
mod recall;
mod scheduled;

use std::time::Duration;

use tidings_catalog::{Catalogs, Reason, Rejection, read};
use tidings_model::{Envelope, Event, RawEvent};

use fingerprint::Fingerprints;
use memory::{Found, Memory};
pub use recall::RecallError;
pub(crate) use recall::{Recall, Verdict, dropped};
use scheduled::ScheduleMemory;

/// Finds repetitions among a tenant's past events, read in order. Whether an event was accepted is decided with the
/// catalogs that project it.
pub struct Dedup {
    prints: Fingerprints,
    memory: Memory,
    schedules: ScheduleMemory,
}

impl Dedup {
    /// Starts with an empty memory: to decide rightly about an event, it must have projected the events of one window
    /// before.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self {
            prints: Fingerprints::default(),
            memory: Memory::new(window),
            schedules: ScheduleMemory::default(),
        }
    }

    /// Works as [`tidings_catalog::project`] does; returns no envelopes for a repetition, and for an event that was replaced or
    /// cancelled before it was due.
    pub fn project(
        &mut self,
        catalogs: &Catalogs,
        raw: &RawEvent,
        max_event_bytes: usize,
    ) -> Result<Vec<Envelope>, Rejection> {
        let (catalog, event) = read(catalogs, raw, max_event_bytes)?;
        if !self.schedules.passes(self.prints.schedule(&event), &event) {
            return Ok(Vec::new());
        }
        let Some(occurrence) = self.prints.of(raw, &event) else { return catalog.project(&event) };
        match self.memory.find(&occurrence) {
            Some(found) if found.is_same => {
                self.memory.remember(occurrence, true);
                Ok(Vec::new())
            }
            Some(found) => Err(reused(&event, &found)),
            None => {
                let envelopes = catalog.project(&event)?;
                self.memory.remember(occurrence, true);
                Ok(envelopes)
            }
        }
    }
}

/// The rejection of an event that reuses the id of another one.
fn reused(event: &Event, found: &Found) -> Rejection {
    let position = event.position;
    let source = event.source.as_deref().map(|source| format!(" of source {source:?}")).unwrap_or_default();
    let text = format!(
        "event {position} has the id {:?}{source}, as event {}-{} has, but other content; publish it with an id of its \
         own, or retry it after `streams.duplicate_window`",
        event.id, position.epoch, found.last.sequence
    );
    Rejection::new(Reason::IdReused, &text)
}
