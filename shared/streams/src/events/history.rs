//! Reads a tenant's events again, in order, without affecting the projector.

use std::collections::VecDeque;

use tidings_model::{Position, RawEvent, Tenant};
use time::OffsetDateTime;

use super::stored_event::raw_event;
use crate::nats::{Content, OrderedReader, Read, Selection, epoch_of};
use crate::topology::lives::Lives;
use crate::topology::{EVENTS, Topology};

/// Reads the retained events of a tenant from `EVENTS`.
pub struct EventHistory {
    reader: OrderedReader,
    lives: Lives,
    /// Read and not yet returned.
    ready: VecDeque<RawEvent>,
}

impl EventHistory {
    /// Reads the events after a position, or all of them without one; in both cases none that was stored before
    /// `since`.
    pub async fn open(
        topology: &Topology,
        tenant: &Tenant,
        after: Option<Position>,
        since: Option<OffsetDateTime>,
    ) -> Result<Self, HistoryError> {
        let info = topology.events.get_info().await.map_err(|error| HistoryError(error.into()))?;
        let epoch = epoch_of(&info);
        let lives = topology.lives().await.map_err(HistoryError)?;
        let after = after.filter(|after| lives.knows(epoch, after.epoch));
        let after = Position { epoch, sequence: after.map_or(0, |after| after.sequence) };
        let subjects = vec![format!("events.{tenant}.>")];
        let selection = Selection::new(EVENTS.to_owned(), subjects, Content::Whole).since(since);
        let reader = OrderedReader::open(topology.context.clone(), selection, after).await;
        Ok(Self { reader: reader.map_err(HistoryError)?, lives, ready: VecDeque::new() })
    }

    /// The position up to which everything was read, including events that were not taken yet.
    #[must_use]
    pub fn position(&self) -> Position {
        let Position { epoch, sequence } = self.reader.position();
        self.lives.position(epoch, sequence)
    }

    /// How many events are left, by the last report of NATS: each message carries the number.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.reader.pending() + self.ready.len() as u64
    }

    /// Whether nothing is left to take of what there was when the reading began. Asks the stream's leader, since the
    /// server that delivers may be behind.
    pub async fn has_read_all(&self) -> Result<bool, HistoryError> {
        Ok(self.ready.is_empty() && self.reader.has_read_all().await.map_err(HistoryError)?)
    }

    /// The next event, if it was read already.
    #[must_use]
    pub fn peek(&self) -> Option<&RawEvent> {
        self.ready.front()
    }

    /// Takes the event that [`EventHistory::peek`] returns.
    pub fn take(&mut self) -> Option<RawEvent> {
        self.ready.pop_front()
    }

    /// Reads until there is an event to take. Waits until faults of NATS have passed. Cancel-safe.
    pub async fn ready(&mut self) {
        while self.ready.is_empty() {
            match self.reader.read().await {
                Read::Messages(messages) => {
                    let epoch = self.reader.position().epoch;
                    let lives = &self.lives;
                    self.ready.extend(messages.into_iter().map(|stored| {
                        let position = lives.position(epoch, stored.sequence);
                        let message = stored.message.message;
                        let (subject, headers) = (&message.subject, message.headers.as_ref());
                        raw_event(subject, headers, message.payload.clone(), position, stored.time)
                    }));
                }
                // The positions of the following events show the new epoch.
                Read::Renewed(_) => {}
            }
        }
    }
}

/// `EVENTS` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("stream EVENTS cannot be read now")]
pub struct HistoryError(#[source] async_nats::Error);
