//! Detects a rollback of `EVENTS`, after which the stream holds less than before. The reader compares what it knows
//! with the stream when it opens, at an unexpected delivery, and periodically, as after a rollback there may be no
//! deliveries.

use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::Stream;
use tidings_model::{Epoch, Origin, Position};
use time::OffsetDateTime;

use super::consumer::{GROUP, HEARTBEAT, PULL_EXPIRY, ReaderError, open_consumer};
use super::found::{Found, Life, Recent};
use super::{EventReader, ReadEvent};
use crate::envelopes::Resume;
use crate::nats::epoch_of;
use crate::topology::lives::{Known, Lives, holds};
use crate::topology::{EVENTS, Topology};

impl EventReader {
    /// Whether this stream can hold an event at this position: it is not in a part of an earlier life that was rolled
    /// back.
    #[must_use]
    pub fn holds(&self, position: Position) -> bool {
        self.lives.position(self.created, position.sequence) == position
    }

    /// Reduces another process's resume point to the events that the stream still has.
    #[must_use]
    pub fn still(&self, resume: Resume) -> Resume {
        let Some(after) = resume.after else { return resume };
        if self.holds(after.event) || !self.lives.knows(self.created, after.event.epoch) {
            return resume;
        }
        let common = self.lives.common(self.created, after.event);
        let event = self.lives.position(self.created, common);
        let held_from = resume.held_from.map(|held_from| held_from.min(common));
        Resume { after: Some(Origin { event, message: u32::MAX, part: u32::MAX }), held_from, ..resume }
    }

    /// Checks whether the stream was rolled back, also where nothing is delivered for that reason. `written` is a
    /// position and the time at which something was written from it.
    pub async fn compare(&mut self, written: Option<(Position, OffsetDateTime)>) -> Result<(), ReaderError> {
        let found = self.view().look(written).await?;
        self.take_up(found);
        Ok(())
    }

    /// What a request needs to know, so that it can continue while the reader is used otherwise.
    pub(super) fn view(&self) -> View {
        View {
            topology: self.topology.clone(),
            name: self.name.clone(),
            consumer: self.consumer.clone(),
            created: self.created,
            lives: self.lives.clone(),
            recent: self.recent.clone(),
            cursor: self.cursor,
        }
    }

    /// Continues with the stream as found, after another sequence if it has begun another life.
    pub(super) fn take_up(&mut self, found: Found) {
        (self.stream, self.consumer) = (found.stream, found.consumer);
        let Some(Life { created, lives, after }) = found.begun else { return };
        (self.created, self.lives) = (created, lives);
        if let Some(after) = after {
            self.recent.clear();
            (self.cursor, self.done, self.acknowledged.0) = (after, after, after);
            (self.held, self.unacknowledged, self.deliveries, self.asked) = (None, None, None, None);
        } else {
            self.recent.relabel(created, &self.lives);
            if let Some(ReadEvent { event, .. }) = &mut self.held {
                event.position = self.lives.position(created, event.position.sequence);
            }
        }
    }
}

/// What a reader knows of `EVENTS`.
pub(super) struct View {
    topology: Topology,
    name: String,
    consumer: PullConsumer,
    created: Epoch,
    lives: Lives,
    recent: Recent,
    cursor: u64,
}

impl View {
    /// Compares what is known with the stream.
    async fn look(self, written: Option<(Position, OffsetDateTime)>) -> Result<Found, ReaderError> {
        let Self { topology, name, mut consumer, created: before, lives: known_lives, recent, cursor } = self;
        let wrap = |source: async_nats::Error| ReaderError::new(&name, source);
        let stream = topology.context.get_stream(EVENTS).await.map_err(|error| wrap(error.into()))?;
        let created = epoch_of(stream.cached_info());
        let written = written.map(|(position, at)| Known { position, at, is_exact: false });
        let mut lives = topology.lives().await.map_err(wrap)?;
        for known in recent.last().into_iter().chain(written) {
            lives = topology.compare(&stream, known).await.map_err(wrap)?;
        }
        let begun = if created != before {
            tracing::warn!(epoch = %created, "stream EVENTS was recreated; reading it from its beginning");
            Some(Life { created, lives, after: Some(0) })
        } else if lives != known_lives {
            let after = lives.common(created, known_lives.position(created, cursor));
            if has_read(&stream, &recent, after).await.map_err(wrap)? {
                Some(Life { created, lives, after: None })
            } else {
                forget_later(&stream, &name, &mut consumer, after).await?;
                Some(Life { created, lives, after: Some(after) })
            }
        } else {
            None
        };
        Ok(Found { stream: stream.into(), consumer, begun })
    }

    /// Opens the consumer, after a comparison with the stream.
    pub(super) async fn open(self, batch: usize) -> Result<(Found, pull::Stream), ReaderError> {
        let name = self.name.clone();
        let mut found = self.look(None).await?;
        found.consumer = open_consumer(&found.stream, &name).await?;
        let deliveries = found
            .consumer
            .stream()
            .group(GROUP)
            .expires(PULL_EXPIRY)
            .heartbeat(HEARTBEAT)
            .max_messages_per_batch(batch)
            .messages()
            .await
            .map_err(|error| ReaderError::new(&name, error))?;
        Ok((found, deliveries))
    }
}

/// Whether the reader has read what the stream holds after this sequence: another projector has noticed a rollback of events
/// that this one had not read yet, and what it read next was stored after the rollback already. Events are read in order and
/// without holes, so it is enough that the first and the last are those that the stream holds.
async fn has_read(stream: &Stream, recent: &Recent, after: u64) -> Result<bool, async_nats::Error> {
    let Some(ends) = recent.after(after) else { return Ok(false) };
    for event in ends {
        if !holds(stream, event).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Recreates a durable consumer that is ahead of its stream, as it would skip new events. The reader detects what the
/// consumer delivers again.
async fn forget_later(
    stream: &Stream,
    name: &str,
    consumer: &mut PullConsumer,
    after: u64,
) -> Result<(), ReaderError> {
    let info = match stream.consumer_info(name).await {
        Ok(info) => info,
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ReaderError::new(name, error)),
    };
    if info.delivered.stream_sequence.max(info.ack_floor.stream_sequence) > after {
        stream.delete_consumer(name).await.map_err(|error| ReaderError::new(name, error))?;
        *consumer = open_consumer(stream, name).await?;
    }
    Ok(())
}
