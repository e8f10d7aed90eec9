//! An event counts once within its tenant, its source and its window, whatever else has its id.
//!
//! What has the source and the id of an event that was stored less than `streams.duplicate_window` before is its
//! repetition if it says the same, and is dropped. If it says something else, its producer made a mistake: it is kept in
//! `REJECTED` with the reason `id-reused`. The times are those at which `EVENTS` stored the events, so that a replay
//! decides alike.

mod fingerprint;
mod memory;
mod recall;

use std::time::Duration;

use tidings_catalog::{Catalogs, Reason, Rejection, read};
use tidings_model::{Envelope, Event, RawEvent};

use fingerprint::Fingerprints;
use memory::{Found, Memory};
pub use recall::RecallError;
pub(crate) use recall::{Recall, Verdict, dropped};

/// What comes again among a tenant's past events, read in their order. Whether an event was accepted, the catalogs say
/// that it is projected with.
pub struct Dedup {
    prints: Fingerprints,
    memory: Memory,
}

impl Dedup {
    /// Knows no event yet: to be right about one, it must have projected those of a window before.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self { prints: Fingerprints::default(), memory: Memory::new(window) }
    }

    /// As [`tidings_catalog::project`]; no envelopes of a repetition.
    pub fn project(
        &mut self,
        catalogs: &Catalogs,
        raw: &RawEvent,
        max_event_bytes: usize,
    ) -> Result<Vec<Envelope>, Rejection> {
        let (catalog, event) = read(catalogs, raw, max_event_bytes)?;
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

/// Why an event is not accepted that has the id of another one.
fn reused(event: &Event, found: &Found) -> Rejection {
    let position = event.position;
    let source = event.source.as_deref().map(|source| format!(" of source {source:?}")).unwrap_or_default();
    let text = format!(
        "event {position} has the id {:?}{source}, as event {}-{} has, and says something else; publish it with an id of \
         its own, or retry it after `streams.duplicate_window`",
        event.id, position.epoch, found.last.sequence
    );
    Rejection::new(Reason::IdReused, &text)
}
