//! Reading a tenant's events once more, in order, beside whoever projects them.

use std::collections::VecDeque;

use tidings_model::{Position, RawEvent, Tenant};
use time::OffsetDateTime;

use crate::convert::raw_event;
use crate::lives::Lives;
use crate::ordered::{Content, OrderedReader, Read, Selection};
use crate::topology::{EVENTS, Topology, epoch_of};

/// Reads the events of a tenant that `EVENTS` retains.
pub struct EventHistory {
    reader: OrderedReader,
    lives: Lives,
    /// Read and not yet handed out.
    ready: VecDeque<RawEvent>,
}

impl EventHistory {
    /// Reads what comes after a position, or, without one, everything; in both cases nothing that was stored before
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
        let selection = Selection {
            stream: EVENTS.to_owned(),
            subjects: vec![format!("events.{tenant}.>")],
            content: Content::Whole,
            fences: None,
            since,
        };
        let reader = OrderedReader::open(topology.context.clone(), selection, after).await;
        Ok(Self { reader: reader.map_err(HistoryError)?, lives, ready: VecDeque::new() })
    }

    /// Up to where everything was read; what was read and not handed out is part of it.
    #[must_use]
    pub fn position(&self) -> Position {
        let Position { epoch, sequence } = self.reader.position();
        self.lives.position(epoch, sequence)
    }

    /// How many events are left, as far as is known: NATS says so with each that it sends.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.reader.pending() + self.ready.len() as u64
    }

    /// The next event, if it was read already.
    #[must_use]
    pub fn peek(&self) -> Option<&RawEvent> {
        self.ready.front()
    }

    /// Takes the event that [`EventHistory::peek`] shows.
    pub fn take(&mut self) -> Option<RawEvent> {
        self.ready.pop_front()
    }

    /// Reads on until there is an event to take. Waits out every fault of NATS. May be dropped while it waits without
    /// losing anything.
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
                // The positions of what follows say so.
                Read::Renewed(_) => {}
            }
        }
    }
}

/// `EVENTS` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("stream EVENTS cannot be read now")]
pub struct HistoryError(#[source] async_nats::Error);
