//! Says again in `SCHEDULED` what `EVENTS` says, after that stream came back with less than it had.
//!
//! Of each event that schedules or cancels, the last one counts. All retained events are read twice: first for which these are, and
//! for which events were due already; then to say them again. What was due is settled even if the event that has scheduled it is
//! not retained any more. It is safe to repeat, and two projectors may do it together.

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
            if let Some((event, delivery)) = scheduling(&raw, catalogs, max_event_bytes) {
                if said.waits(&event) {
                    schedules.set_again(&raw, &event, delivery, taken_through).await?;
                }
            } else if let Some((subject, by)) = due(&raw)
                && said.is_settled(&subject, by, raw.position)
            {
                schedules.settle(&subject, by, raw.position).await?;
            }
        }
    }
    Ok(schedules.note_repaired().await?)
}

impl Said {
    fn note(&mut self, raw: &RawEvent, catalogs: &Catalogs, max_event_bytes: usize) {
        if let Some((event, _)) = scheduling(raw, catalogs, max_event_bytes) {
            self.last.insert(ScheduleSubject::of(&event), event.position);
        } else if let Some((_, by)) = due(raw) {
            self.due.entry(by).or_insert(raw.position);
        }
    }

    /// Whether this event, which schedules or cancels, is the last one that does, and was not due.
    fn waits(&self, event: &Event) -> bool {
        self.last.get(&ScheduleSubject::of(event)) == Some(&event.position)
            && !self.due.contains_key(&event.position)
    }

    /// Whether what the event at `by` has scheduled was due first at `first`, and no other one was scheduled since.
    fn is_settled(&self, subject: &ScheduleSubject, by: Position, first: Position) -> bool {
        self.due.get(&by) == Some(&first) && self.last.get(subject).is_none_or(|last| *last == by)
    }
}

/// The event, if it schedules or cancels, and is not rejected.
fn scheduling(raw: &RawEvent, catalogs: &Catalogs, max_event_bytes: usize) -> Option<(Event, Delivery)> {
    let (catalog, event) = read(catalogs, raw, max_event_bytes).ok()?;
    let delivery = event.delivery?;
    catalog.project(&event).ok()?;
    Some((event, delivery))
}

/// What was due, and by which event it was scheduled.
fn due(raw: &RawEvent) -> Option<(ScheduleSubject, Position)> {
    let event = raw.read().ok()?;
    event.scheduled.map(|by| (ScheduleSubject::of(&event), by))
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
