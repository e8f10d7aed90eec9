//! Events that are delivered later: they wait in `SCHEDULED`, which JetStream empties into `EVENTS`.
//!
//! The order of `EVENTS` decides. Each message in `SCHEDULED` names the event that scheduled or cancelled it, by its position
//! in `EVENTS`, and a message is written only behind those of older events ([`Schedules::set`]). So it makes no difference how
//! often a projector reads an event, nor whether a former leader still writes.
//!
//! When nats-server stores an event that is due, it purges the subject on which it waited, together with what it does not know
//! of yet as it decides that: whatever has been stored there meanwhile. Therefore no two events wait on one subject. What waits
//! is removed before what replaces it is written, and not afterwards. If the process ends in between, nothing waits, and
//! the event that replaces it is read again, as it was not acknowledged.
//!
//! An event that is due comes back with that position ([`Schedules::is_void`]). It counts unless a later event had replaced or
//! cancelled it by then, or unless nats-server has stored it twice, because it ended between storing the due event and
//! removing the waiting one. To tell that, due events and cancellations stay in `SCHEDULED` as long as events in `EVENTS`.
//! If `SCHEDULED` comes back with less than it had, all of this is said again (module `rolled_back`).

mod rolled_back;

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageError, Stream};
use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use serde::Serialize;
use tidings_model::{Delivery, Event, Position, RawEvent, ScheduleSubject, Tenant, headers, serialize_time};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::OnceCell;

use crate::nats::{Bucket, Content, Delivered, Scan, is_permanent, leader_get, set, was_beaten};
use crate::topology::{SCHEDULED, Topology};

/// How many times an event is written after others came first.
const ATTEMPTS: u32 = 4;

/// The stream of scheduled events.
#[derive(Debug, Clone)]
pub struct Schedules {
    topology: Topology,
    context: Context,
    /// `None` where the server cannot schedule events.
    stream: Option<Arc<Stream>>,
    /// How long events are kept.
    kept: Duration,
    /// The bucket `PROJECTORS`, opened when it is needed first.
    bucket: Arc<OnceCell<Bucket>>,
    /// Under which key it has what the projector of this shard has found in the stream.
    key: String,
}

impl Schedules {
    /// Uses the stream of this topology.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        Self {
            topology: topology.clone(),
            context: topology.context.clone(),
            stream: topology.scheduled.clone(),
            kept: topology.settings().events_max_age,
            bucket: Arc::default(),
            key: topology.shard().name("scheduled"),
        }
    }

    /// Schedules or cancels an event, as this one says; does nothing if a later event has said something else. Returns when
    /// NATS has stored that.
    pub async fn set(&self, raw: &RawEvent, event: &Event, delivery: Delivery) -> Result<(), ScheduleError> {
        let subject = ScheduleSubject::of(event);
        let (map, payload) = match delivery {
            Delivery::At(at) => (self.waiting(raw, event, &subject, at), raw.payload.clone()),
            Delivery::Never => (self.cancellation(), Bytes::new()),
        };
        let by = event.position;
        let is_said = |said: &Said| said.newest().is_some_and(|newest| newest.is_at_or_behind(by));
        self.say(&subject, (subject.waiting(by), map, payload), by, is_said).await
    }

    /// Stores a message about an event behind all others, in place of what waits, unless that is said already.
    async fn say(
        &self,
        subject: &ScheduleSubject,
        (target, map, payload): (String, HeaderMap, Bytes),
        by: Position,
        is_said: impl Fn(&Said) -> bool,
    ) -> Result<(), ScheduleError> {
        let mut expected = 0;
        for _ in 0..ATTEMPTS {
            let mut map = map.clone();
            set(&mut map, headers::SCHEDULED, by.to_string());
            set(&mut map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
            set(&mut map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, subject.any());
            match self.publish(target.clone(), map, payload.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) if was_beaten(&error) => {}
                Err(error) if is_permanent(&error) => return Err(ScheduleError::Refused(error)),
                Err(error) => return Err(ScheduleError::Write(error)),
            }
            let Some(last) = self.make_way(subject, &is_said).await? else { return Ok(()) };
            expected = last;
        }
        Err(ScheduleError::Contended)
    }

    /// Removes what waits, unless that is said already; returns the sequence of the last message that stays, 0 for none.
    async fn make_way(
        &self,
        subject: &ScheduleSubject,
        is_said: impl Fn(&Said) -> bool,
    ) -> Result<Option<u64>, ScheduleError> {
        let stream = self.stream()?;
        let mut failed = None;
        for _ in 0..ATTEMPTS {
            let said = Said::read(stream, subject).await.map_err(ScheduleError::Read)?;
            if is_said(&said) {
                return Ok(None);
            }
            let Some(waiting) = said.waiting() else {
                return Ok(Some(said.last.map_or(0, |last| last.sequence)));
            };
            // It may be due, or removed by another projector, meanwhile: the next look tells.
            failed = stream.delete_message(waiting.sequence).await.err();
        }
        Err(failed.map_or(ScheduleError::Contended, |error| ScheduleError::Unavailable(error.into())))
    }

    /// Whether an event that was due does not count: it was replaced or cancelled before, or is there twice.
    pub async fn is_void(&self, raw: &RawEvent, event: &Event) -> Result<bool, ScheduleError> {
        let (Some(stream), Some(by), Some(sequence)) = (&self.stream, event.scheduled, due_sequence(raw))
        else {
            return Ok(false);
        };
        let subject = ScheduleSubject::of(event);
        let due = subject.due();
        let (said, mut first) =
            tokio::try_join!(Said::read(stream, &subject), leader_get::next(stream, &due, 1))
                .map_err(ScheduleError::Read)?;
        // What was said after the event was due comes too late for it.
        let is_between = |other: Position| {
            other != by && other.is_at_or_behind(by) && !other.is_at_or_behind(event.position)
        };
        if said.newest().is_some_and(is_between) {
            return Ok(true);
        }
        // It was due before the stream came back with less than it had.
        if said.settled(by).is_some_and(|first| first != event.position) {
            return Ok(true);
        }
        // The same id may have been scheduled, and due, before.
        while let Some(message) = first.filter(|message| message.sequence < sequence) {
            if position(&message) == Some(by) {
                return Ok(true);
            }
            let next = leader_get::next(stream, &due, message.sequence + 1);
            first = next.await.map_err(ScheduleError::Read)?;
        }
        Ok(false)
    }

    fn stream(&self) -> Result<&Arc<Stream>, ScheduleError> {
        self.stream.as_ref().ok_or(ScheduleError::OldServer)
    }

    /// Lists a tenant's events that wait, in the order in which they were scheduled.
    #[must_use]
    pub fn list(&self, tenant: &Tenant) -> BoxStream<'static, Result<ScheduledEvent, ListSchedulesError>> {
        let subjects = ScheduleSubject::all_waiting(tenant).into();
        let scan = Scan::of_subjects(self.context.clone(), SCHEDULED, subjects, Content::HeadersOnly);
        stream::try_unfold(scan, |mut scan| async move {
            while let Some(delivered) = scan.next().await.map_err(ListSchedulesError)? {
                if let Some(found) = ScheduledEvent::read(&delivered) {
                    return Ok(Some((found, scan)));
                }
            }
            Ok(None)
        })
        .boxed()
    }

    /// The headers of an event that waits: its own, without those for JetStream.
    fn waiting(
        &self,
        raw: &RawEvent,
        event: &Event,
        subject: &ScheduleSubject,
        at: OffsetDateTime,
    ) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in raw.headers.iter().filter(|(name, _)| !is_for_jetstream(name)) {
            if let (Ok(name), Ok(value)) = (HeaderName::from_str(name), HeaderValue::from_str(value)) {
                map.append(name, value);
            }
        }
        set(&mut map, headers::EVENT_ID, &event.id);
        // RFC 3339 can write any time that is less than a span from now.
        set(&mut map, headers::SCHEDULE, format!("@at {}", at.to_utc().format(&Rfc3339).unwrap_or_default()));
        set(&mut map, headers::SCHEDULE_TARGET, subject.due());
        set(&mut map, headers::SCHEDULE_TIME_TO_LIVE, self.kept_for());
        map
    }

    /// The headers of the message that takes the place of an event that waits.
    fn cancellation(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        set(&mut map, headers::ROLLUP, "sub");
        set(&mut map, headers::TIME_TO_LIVE, self.kept_for());
        map
    }

    fn kept_for(&self) -> String {
        format!("{}s", self.kept.as_secs().max(1))
    }

    async fn publish(&self, subject: String, map: HeaderMap, payload: Bytes) -> Result<(), PublishError> {
        self.context.publish_with_headers(subject, map, payload).await?.await.map(drop)
    }
}

/// What is known of an event.
struct Said {
    /// The last message on any of its subjects.
    last: Option<StreamMessage>,
    /// What an event has said last, unless it was due since; and by an earlier version.
    waiting: [Option<StreamMessage>; 2],
}

impl Said {
    async fn read(stream: &Stream, subject: &ScheduleSubject) -> Result<Self, RawMessageError> {
        let (any, waiting) = (subject.any(), subject.any_waiting());
        let without_position = subject.waiting_without_position();
        let (last, waiting, earlier) = tokio::try_join!(
            leader_get::last(stream, &any),
            leader_get::last(stream, &waiting),
            leader_get::last(stream, &without_position)
        )?;
        Ok(Self { last, waiting: [waiting, earlier] })
    }

    fn waiting(&self) -> Option<&StreamMessage> {
        self.waiting.iter().flatten().next()
    }

    fn messages(&self) -> impl Iterator<Item = &StreamMessage> {
        self.waiting.iter().chain([&self.last]).flatten()
    }

    /// The position of the latest event that has said something. What was due last may be older than what waits: nats-server
    /// had decided to store it when what waits was stored.
    fn newest(&self) -> Option<Position> {
        let later = |one: Position, other: Position| if one.is_at_or_behind(other) { one } else { other };
        self.messages().filter_map(position).reduce(later)
    }

    /// Where `EVENTS` has what came of this event before the stream came back with less than it had.
    fn settled(&self, by: Position) -> Option<Position> {
        self.messages().filter(|message| position(message) == Some(by)).find_map(settled_at)
    }
}

fn is_for_jetstream(name: &str) -> bool {
    name.get(..5).is_some_and(|prefix| prefix.eq_ignore_ascii_case("nats-"))
}

/// The position of the event that scheduled or cancelled.
fn position(message: &StreamMessage) -> Option<Position> {
    message.headers.get(headers::SCHEDULED)?.as_str().parse().ok()
}

/// Where `EVENTS` has the event that was due before `SCHEDULED` came back with less than it had.
fn settled_at(message: &StreamMessage) -> Option<Position> {
    message.headers.get(headers::SETTLED)?.as_str().parse().ok()
}

/// The sequence in `SCHEDULED` of an event that `EVENTS` took from there.
fn due_sequence(raw: &RawEvent) -> Option<u64> {
    let (stream, rest) = raw.header(headers::STREAM_SOURCE)?.split_once(' ')?;
    let sequence = rest.split(' ').next()?;
    (stream == SCHEDULED).then(|| sequence.parse().ok()).flatten()
}

/// An event that waits.
#[derive(Debug, Clone, Serialize)]
pub struct ScheduledEvent {
    /// `<entity>.<action>`.
    pub event: String,
    /// Its source, if it has one.
    pub source: Option<String>,
    /// Its id.
    pub id: String,
    /// When it is due.
    #[serde(serialize_with = "serialize_time")]
    pub at: OffsetDateTime,
    /// When it was scheduled.
    #[serde(serialize_with = "serialize_time")]
    pub scheduled: OffsetDateTime,
}

impl ScheduledEvent {
    /// `None` for a cancellation.
    fn read(Delivered { message, time, .. }: &Delivered) -> Option<Self> {
        let at = message.headers.as_ref()?.get(headers::SCHEDULE)?.as_str().strip_prefix("@at ")?;
        let (event, source, id) = ScheduleSubject::parse_waiting(&message.subject)?;
        let at = OffsetDateTime::parse(at, &Rfc3339).ok()?;
        Some(Self { event: event.to_string(), source, id, at, scheduled: *time })
    }
}

/// An event cannot be scheduled or cancelled.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The server cannot schedule events.
    #[error("events are delivered later only with nats-server 2.15 or later")]
    OldServer,
    /// NATS refuses the event for good.
    #[error("stream SCHEDULED refuses the event")]
    Refused(#[source] PublishError),
    /// NATS does not store it now.
    #[error("stream SCHEDULED does not store the event now")]
    Write(#[source] PublishError),
    /// NATS does not answer.
    #[error("stream SCHEDULED cannot be read now")]
    Read(#[source] RawMessageError),
    /// NATS does not answer, or not with what is needed.
    #[error("it cannot be found out now what stream SCHEDULED has")]
    Unavailable(#[source] async_nats::Error),
    /// Others kept writing, or another message is just being stored.
    #[error("another projector writes the same event to stream SCHEDULED")]
    Contended,
}

impl ScheduleError {
    /// Whether another attempt has the same result.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::OldServer | Self::Refused(_))
    }
}

/// The scheduled events cannot be listed.
#[derive(Debug, thiserror::Error)]
#[error("stream SCHEDULED cannot be read now")]
pub struct ListSchedulesError(#[source] async_nats::Error);
