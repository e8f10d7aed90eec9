//! Says again in `SCHEDULED` what `EVENTS` says, after that stream came back with less than it had.
//!
//! Of each event that schedules or cancels, the last one counts. All retained events are read twice: first for which these are, and
//! for which events were due already; then to say them again. It is safe to repeat, and two projectors may do it together.

use std::collections::HashMap;
use std::time::Duration;

use tidings_catalog::{Catalogs, read};
use tidings_model::{Delivery, Event, Position, RawEvent, ScheduleSubject, Tenant};
use tidings_streams::{EventHistory, HistoryError, ScheduleError, Schedules, Topology};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// How long the next events may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the events of a tenant say.
#[derive(Default)]
struct Said {
    /// The position of the last event that scheduled or cancelled.
    last: HashMap<ScheduleSubject, Position>,
    /// Where the event lies that was due, by the position of the one that scheduled it.
    due: HashMap<Position, Position>,
}

/// Says again what the events of all tenants with a catalog say.
pub(crate) async fn say_again(
    topology: &Topology,
    schedules: &Schedules,
    catalogs: &Catalogs,
    max_event_bytes: usize,
) -> Result<(), RepairError> {
    // What is due by now is in `EVENTS`, or was passed over.
    let taken_through = schedules.taken_through().await?;
    for tenant in catalogs.keys() {
        let mut said = Said::default();
        let mut history = History::open(topology, tenant).await?;
        while let Some(raw) = history.next().await? {
            said.note(&raw, catalogs, max_event_bytes);
        }
        let mut history = History::open(topology, tenant).await?;
        while let Some(raw) = history.next().await? {
            let Some((event, delivery)) = scheduling(&raw, catalogs, max_event_bytes) else { continue };
            if said.last.get(&ScheduleSubject::of(&event)) != Some(&event.position) {
                continue;
            }
            match said.due.get(&event.position) {
                Some(first) => schedules.settle(&event, *first).await?,
                None => schedules.set_again(&raw, &event, delivery, taken_through).await?,
            }
        }
    }
    Ok(schedules.note_repaired().await?)
}

impl Said {
    fn note(&mut self, raw: &RawEvent, catalogs: &Catalogs, max_event_bytes: usize) {
        if let Some((event, _)) = scheduling(raw, catalogs, max_event_bytes) {
            self.last.insert(ScheduleSubject::of(&event), event.position);
        } else if let Some(by) = raw.read().ok().and_then(|event| event.scheduled) {
            self.due.entry(by).or_insert(raw.position);
        }
    }
}

/// The event, if it schedules or cancels, and is not rejected.
fn scheduling(raw: &RawEvent, catalogs: &Catalogs, max_event_bytes: usize) -> Option<(Event, Delivery)> {
    let (catalog, event) = read(catalogs, raw, max_event_bytes).ok()?;
    let delivery = event.delivery?;
    catalog.project(&event).ok()?;
    Some((event, delivery))
}

/// The retained events of a tenant, up to the present end.
struct History(EventHistory);

impl History {
    async fn open(topology: &Topology, tenant: &Tenant) -> Result<Self, RepairError> {
        Ok(Self(EventHistory::open(topology, tenant, None, None).await?))
    }

    async fn next(&mut self) -> Result<Option<RawEvent>, RepairError> {
        if self.0.left() == 0 {
            return Ok(None);
        }
        timeout(PATIENCE, self.0.ready()).await?;
        Ok(self.0.take())
    }
}

/// What was scheduled cannot be said again now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepairError {
    /// `EVENTS` cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The events did not come.
    #[error("stream EVENTS sent no events within {PATIENCE:?}")]
    Silence(#[from] Elapsed),
    /// `SCHEDULED` cannot be read or written.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}
