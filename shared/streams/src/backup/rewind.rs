//! Takes restored events back to an earlier moment, from which all envelopes are projected again.
//!
//! What was stored behind that moment is removed from `EVENTS`, and from `SCHEDULED` what such an event has said. What is missing
//! in `SCHEDULED` then, the remaining events say again when they are read. While this is done `EVENTS` takes nothing from
//! `SCHEDULED`.

use std::collections::BTreeSet;

use async_nats::jetstream::stream::Stream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_model::{Epoch, Event, Position, headers};
use time::OffsetDateTime;

use super::{BackupError, Backups};
use crate::events::raw_event;
use crate::nats::{Content, Delivered, OrderedReader, Read, Selection, epoch_of, leader_get};
use crate::topology::lives::{self, Lives};
use crate::topology::{EVENTS, SCHEDULED};

/// How many removals are under way.
const IN_FLIGHT: usize = 64;

/// The moment to which events are taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// Everything that was stored up to this time stays.
    Time(OffsetDateTime),
    /// The event with this id is the last that stays.
    Event(String),
}

impl Backups {
    /// Removes what was stored later; returns the sequence of the last event that stays.
    pub(super) async fn rewind(&self, until: &Until) -> Result<u64, BackupError> {
        let events = self.stream(EVENTS).await?;
        let lives = lives::read(&self.context).await;
        let lives = lives.map_err(|error| BackupError::failed("read the lives of", EVENTS, error))?;
        let last = match until {
            Until::Time(time) => self.last_until(&events, *time).await?,
            Until::Event(id) => self.place_of(id).await?,
        };
        let epoch = epoch_of(events.cached_info());
        self.remove(&events, Position { epoch, sequence: last }, |_| true).await?;
        if let Ok(scheduled) = self.stream(SCHEDULED).await {
            let start = Position { epoch: epoch_of(scheduled.cached_info()), sequence: 0 };
            self.remove(&scheduled, start, |message| is_said_behind(message, last, epoch, &lives)).await?;
        }
        Ok(last)
    }

    async fn stream(&self, name: &str) -> Result<Stream, BackupError> {
        let found = self.context.get_stream(name).await;
        found.map_err(|error| BackupError::failed("look up", name, error))
    }

    async fn last_until(&self, events: &Stream, time: OffsetDateTime) -> Result<u64, BackupError> {
        let later = leader_get::first_since(&self.context, EVENTS, time + time::Duration::NANOSECOND).await;
        let later = later.map_err(|error| BackupError::failed("search", EVENTS, error))?;
        let last = events.cached_info().state.last_sequence;
        Ok(later.map_or(last, |later| later.saturating_sub(1)))
    }

    /// The sequence of the first event with this id; no two tenants or sources may have one.
    async fn place_of(&self, id: &str) -> Result<u64, BackupError> {
        let (mut found, mut owners) = (None, BTreeSet::new());
        let mut reader = self.read_all(EVENTS, Content::Whole).await?;
        while let Some(messages) = self.next(&mut reader, EVENTS).await? {
            for message in messages {
                let Some(event) = event(&message).filter(|event| event.id == id) else { continue };
                found = found.or(Some(message.sequence));
                owners.insert((event.tenant.to_string(), event.source.unwrap_or_default()));
            }
        }
        reader.finish().await;
        match found {
            Some(sequence) if owners.len() == 1 => Ok(sequence),
            Some(_) => Err(BackupError::AmbiguousEvent { id: id.to_owned(), count: owners.len() }),
            None => Err(BackupError::NoEvent { id: id.to_owned() }),
        }
    }

    /// Removes the messages behind a position for which this holds.
    async fn remove(
        &self,
        from: &Stream,
        after: Position,
        is_removed: impl Fn(&Delivered) -> bool,
    ) -> Result<(), BackupError> {
        let name = from.cached_info().config.name.clone();
        let selection = Selection::new(name.clone(), Vec::new(), Content::HeadersOnly);
        let reader = OrderedReader::open(self.context.clone(), selection, after).await;
        let mut reader = reader.map_err(|error| BackupError::failed("read", &name, error))?;
        while let Some(messages) = self.next(&mut reader, &name).await? {
            let removed =
                messages.iter().filter(|message| is_removed(message)).map(|message| message.sequence);
            let removals =
                stream::iter(removed.collect::<Vec<_>>()).map(|sequence| from.delete_message(sequence));
            let removed = removals.buffer_unordered(IN_FLIGHT).try_collect::<Vec<_>>().await;
            removed.map_err(|error| BackupError::failed("remove messages of", &name, error))?;
        }
        reader.finish().await;
        Ok(())
    }

    async fn read_all(&self, name: &str, content: Content) -> Result<OrderedReader, BackupError> {
        let selection = Selection::new(name.to_owned(), Vec::new(), content);
        let reader = OrderedReader::open_at_start(self.context.clone(), selection).await;
        reader.map_err(|error| BackupError::failed("read", name, error))
    }

    async fn next(
        &self,
        reader: &mut OrderedReader,
        name: &str,
    ) -> Result<Option<Vec<Delivered>>, BackupError> {
        match reader.read_pending().await.map_err(|error| BackupError::failed("read", name, error))? {
            Some(Read::Messages(messages)) => Ok(Some(messages)),
            Some(Read::Renewed(_)) => Err(BackupError::Recreated { stream: name.to_owned() }),
            None => Ok(None),
        }
    }
}

fn event(Delivered { message, sequence, time }: &Delivered) -> Option<Event> {
    let position = Position { epoch: Epoch(0), sequence: *sequence };
    let (subject, headers) = (&message.subject, message.headers.as_ref());
    raw_event(subject, headers, message.payload.clone(), position, *time).read().ok()
}

/// Whether a message of `SCHEDULED` is what an event behind this sequence has said.
fn is_said_behind(message: &Delivered, last: u64, events: Epoch, lives: &Lives) -> bool {
    let by = message.message.headers.as_ref().and_then(|map| map.get(headers::SCHEDULED));
    let by: Option<Position> = by.and_then(|by| by.as_str().parse().ok());
    by.is_some_and(|by| by.sequence > last && lives.position(events, by.sequence) == by)
}
