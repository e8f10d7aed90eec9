//! The reader's part when `EVENTS` comes back with less than it had: what it knows is compared with what there is when it
//! opens, when something is delivered that must not be, and now and then, as nothing at all may be delivered then.

use async_nats::jetstream::context::ConsumerInfoErrorKind;
use tidings_model::{Epoch, Origin, Position};
use time::OffsetDateTime;

use super::{EventReader, ReaderError, open_consumer};
use crate::lives::{Known, Lives};
use crate::topology::{EVENTS, epoch_of};
use crate::writer::Resume;

impl EventReader {
    /// Whether an event of this stream may lie there: none of a former life behind which another one began.
    #[must_use]
    pub fn holds(&self, position: Position) -> bool {
        self.lives.position(self.created, position.sequence) == position
    }

    /// What another process's last envelope says of the events that the stream still has.
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

    /// Looks whether the stream has come back with less than it had, also where nothing is delivered for that reason.
    /// `written` is when something was written of what lies at a position.
    pub async fn compare(&mut self, written: Option<(Position, OffsetDateTime)>) -> Result<(), ReaderError> {
        let wrap = |source: async_nats::Error| ReaderError { name: self.name.clone(), source };
        let stream = self.topology.context.get_stream(EVENTS).await.map_err(|error| wrap(error.into()))?;
        let created = epoch_of(stream.cached_info());
        let written = written.map(|(position, at)| Known { position, at, is_exact: false });
        let mut lives = self.topology.lives().await.map_err(wrap)?;
        for known in self.known.into_iter().chain(written) {
            lives = self.topology.compare(&stream, known).await.map_err(wrap)?;
        }
        self.stream = stream.into();
        if created != self.created {
            tracing::warn!(epoch = %created, "stream EVENTS was made anew; reading it from its beginning");
            self.begin(created, lives, 0);
        } else if lives != self.lives {
            let read = self.lives.position(created, self.cursor);
            let after = lives.common(created, read);
            self.forget_later(after).await?;
            self.begin(created, lives, after);
        }
        Ok(())
    }

    /// Goes on behind this sequence in another life of the stream.
    fn begin(&mut self, created: Epoch, lives: Lives, after: u64) {
        (self.created, self.lives, self.known) = (created, lives, None);
        (self.cursor, self.done) = (after, after);
        (self.held, self.unacknowledged, self.deliveries) = (None, None, None);
    }

    /// A durable consumer that is ahead of its stream would pass by what comes next. It is created again, and what it
    /// delivers once more is recognised.
    async fn forget_later(&mut self, after: u64) -> Result<(), ReaderError> {
        let failed = |source: async_nats::Error| ReaderError { name: self.name.clone(), source };
        let info = match self.stream.consumer_info(&self.name).await {
            Ok(info) => info,
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error.into())),
        };
        if info.delivered.stream_sequence.max(info.ack_floor.stream_sequence) > after {
            self.stream.delete_consumer(&self.name).await.map_err(|error| failed(error.into()))?;
            self.consumer = open_consumer(&self.stream, &self.name).await?;
        }
        Ok(())
    }
}
