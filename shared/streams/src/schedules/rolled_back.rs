//! Detects that `SCHEDULED` came back with less than it had, and says again in it what `EVENTS` says.
//!
//! Neither stream shows it. Therefore the projector of a shard notes in the bucket `PROJECTORS` the last message that it found
//! in `SCHEDULED`, before it acknowledges events that have scheduled something. A stream that ends before that one, or has
//! another one there, or was created since, has lost what was said after some moment: events that would never come, cancellations
//! of events that come nevertheless, and that an event was due already, so that it is due once more.
//!
//! A stream that was restored from a backup was created since, too: nats-server takes it for another one, and `EVENTS` takes
//! everything from it once more that was due and is still there.
//!
//! All of that is in `EVENTS`, too. The projector reads it and says again what is missing ([`Schedules::set_again`]). Of an
//! event that was due before it says that it is settled ([`Schedules::settle`]): what comes of it once more is void.

use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::InfoError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_model::{Delivery, Event, Position, RawEvent, ScheduleSubject, headers};
use tokio::time::sleep;

use super::{Said, ScheduleError, Schedules, position};
use crate::nats::record::{self, Record};
use crate::nats::restored;
use crate::nats::{Bucket, SKEW, epoch_of, leader_get, reaching, set};
use crate::topology::{EVENTS, SCHEDULED};

/// How often `EVENTS` is asked whether it has taken everything from `SCHEDULED`, and how long that takes in all.
const LOOK: Duration = Duration::from_millis(250);
const LOOKS: u32 = 80;

/// The last message that a projector found in `SCHEDULED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    /// The epoch of the stream.
    created: u64,
    /// 0 if it had none.
    sequence: u64,
    /// When it was stored, in nanoseconds since 1970.
    at: i64,
}

impl Record for Mark {
    const VERSION: u64 = 1;
}

impl Schedules {
    /// Whether the stream has less than it had.
    pub async fn has_lost(&self) -> Result<bool, ScheduleError> {
        match self.stream {
            Some(_) => Ok(self.look().await?.has_lost),
            None => Ok(false),
        }
    }

    /// Notes the last message of the stream; `false` if the stream has less than it had, which must not be forgotten.
    pub async fn note(&self) -> Result<bool, ScheduleError> {
        if self.stream.is_none() {
            return Ok(true);
        }
        let look = self.look().await?;
        if !look.has_lost {
            self.write(&look).await?;
        }
        Ok(!look.has_lost)
    }

    /// Notes the last message of the stream, since everything that it had lost was said again.
    pub async fn note_repaired(&self) -> Result<(), ScheduleError> {
        let look = self.look().await?;
        self.write(&look).await
    }

    /// Waits until `EVENTS` has taken everything that is due, and returns the sequence up to which that is so.
    pub async fn taken_through(&self) -> Result<u64, ScheduleError> {
        let stream = self.stream()?;
        let last = stream.get_info().await.map_err(unavailable)?.state.last_sequence;
        let due = leader_get::last(stream, ScheduleSubject::ALL_DUE).await.map_err(ScheduleError::Read)?;
        let due = due.map_or(0, |due| due.sequence);
        for _ in 0..LOOKS {
            if self.has_taken(due).await? {
                return Ok(last);
            }
            sleep(LOOK).await;
        }
        Err(ScheduleError::Unavailable(
            "stream EVENTS does not take what is due from stream SCHEDULED".into(),
        ))
    }

    /// Whether `EVENTS` has taken what is due up to this sequence. Right after it has begun to take anything, its lag is 0, too;
    /// therefore it is asked which sequence it has stored, which nats-server leaves out as long as that is of another stream.
    async fn has_taken(&self, due: u64) -> Result<bool, ScheduleError> {
        let asked = self.topology.context.request(format!("STREAM.INFO.{EVENTS}"), &json!({})).await;
        let events: Value = match asked.map_err(|error| ScheduleError::Unavailable(error.into()))? {
            Response::Ok(events) => events,
            Response::Err { error } => return Err(ScheduleError::Unavailable(error.into())),
        };
        let sources = events["sources"].as_array();
        let source = sources.and_then(|sources| sources.iter().find(|source| source["name"] == SCHEDULED));
        let stored = source.and_then(|source| source["seq"].as_u64()).unwrap_or_default();
        let is_active = source.and_then(|source| source["active"].as_i64()).is_some_and(|active| active >= 0);
        Ok(is_active && stored >= due && source.is_some_and(|source| source["lag"] == 0))
    }

    /// Says again that an event is scheduled or cancelled. If it was due, and `EVENTS` has passed over that, it is due once more.
    pub async fn set_again(
        &self,
        raw: &RawEvent,
        event: &Event,
        delivery: Delivery,
        taken_through: u64,
    ) -> Result<(), ScheduleError> {
        let stream = self.stream()?;
        let due =
            leader_get::last(stream, &ScheduleSubject::of(event).due()).await.map_err(ScheduleError::Read)?;
        let is_passed_over =
            |due: &StreamMessage| due.sequence <= taken_through && position(due) == Some(event.position);
        if let Some(due) = due.filter(is_passed_over) {
            let removed = stream.delete_message(due.sequence).await;
            removed.map_err(|error| ScheduleError::Unavailable(error.into()))?;
        }
        self.set(raw, event, delivery).await
    }

    /// Says that what was scheduled by the event at `by` was due: `EVENTS` has it at `first`. Does nothing if a later event
    /// has said something else.
    pub async fn settle(
        &self,
        subject: &ScheduleSubject,
        by: Position,
        first: Position,
    ) -> Result<(), ScheduleError> {
        let mut map = self.cancellation();
        set(&mut map, headers::SETTLED, first.to_string());
        // An event that lies there as due may be the one that was due first, or may have come of what was lost.
        let is_said = |said: &Said| {
            let newest = said.newest();
            newest.is_some_and(|newest| newest != by && newest.is_at_or_behind(by))
                || said.settled(by).is_some()
        };
        // Not where it waited: what nats-server stores as due at this moment purges that.
        self.say(subject, (subject.settled(by), map, Bytes::new()), by, is_said).await
    }

    async fn look(&self) -> Result<Look, ScheduleError> {
        let (stream, bucket) = (self.stream()?, self.bucket().await?);
        let noted = bucket.last(&self.key).await.map_err(ScheduleError::Read)?;
        let mark: Option<Mark> = noted.as_ref().and_then(|noted| record::decode(&noted.payload).ok());
        let wanted = mark.map_or(0, |mark| mark.sequence);
        let info = reaching(stream, wanted).await.map_err(unavailable)?;
        let created = epoch_of(&info).0;
        let is_restored = info.config.metadata.contains_key(restored::BACKUP);
        let has_lost = match mark {
            // What was scheduled while the backup was made may not be noted.
            None => is_restored && info.state.messages > 0,
            Some(mark) if mark.created == created && mark.sequence == 0 => false,
            Some(mark) if mark.created != created || info.state.last_sequence < mark.sequence => true,
            Some(mark) => match leader_get::at(stream, mark.sequence).await.map_err(ScheduleError::Read)? {
                Some(message) => nanoseconds(message.time) != mark.at,
                // It was removed: what lies at or before its place was not stored later.
                None => self.is_overtaken(mark).await?,
            },
        };
        Ok(Look { revision: noted.map_or(0, |noted| noted.sequence), mark, created, has_lost })
    }

    async fn is_overtaken(&self, mark: Mark) -> Result<bool, ScheduleError> {
        let at = time::OffsetDateTime::from_unix_timestamp_nanos(mark.at.into())
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        let later = leader_get::first_since(&self.context, SCHEDULED, at + SKEW).await;
        let later = later.map_err(ScheduleError::Unavailable)?;
        Ok(later.is_some_and(|later| later <= mark.sequence))
    }

    async fn write(&self, look: &Look) -> Result<(), ScheduleError> {
        let last =
            leader_get::last(self.stream()?, ScheduleSubject::ALL).await.map_err(ScheduleError::Read)?;
        let (sequence, at) = last.map_or((0, 0), |last| (last.sequence, nanoseconds(last.time)));
        let mark = Mark { created: look.created, sequence, at };
        if look.mark == Some(mark) {
            return Ok(());
        }
        let json = record::encode(&mark).map_err(|error| ScheduleError::Unavailable(error.into()))?;
        // Another projector of the shard may have written it: then that one leads.
        let written = self.bucket().await?.write(&self.key, Bytes::from(json), look.revision).await;
        written.map_err(ScheduleError::Write).map(drop)
    }

    async fn bucket(&self) -> Result<&Bucket, ScheduleError> {
        let opening = self.bucket.get_or_try_init(|| self.topology.projectors());
        opening.await.map_err(|error| ScheduleError::Unavailable(error.into()))
    }
}

/// How the stream was found.
struct Look {
    mark: Option<Mark>,
    /// The revision of the mark.
    revision: u64,
    created: u64,
    has_lost: bool,
}

fn nanoseconds(time: time::OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos()).unwrap_or_default()
}

fn unavailable(error: InfoError) -> ScheduleError {
    ScheduleError::Unavailable(error.into())
}
