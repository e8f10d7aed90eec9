//! Events that are delivered later: they wait in `SCHEDULED`, which JetStream empties into `EVENTS`.
//!
//! The order of `EVENTS` decides. Each message in `SCHEDULED` names the event that scheduled or cancelled it, by its position
//! in `EVENTS`, and a message is written only behind those of older events ([`Schedules::set`]). So it makes no difference how
//! often a projector reads an event, nor whether a former leader still writes.
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
        let (stream, subject) = (self.stream()?, ScheduleSubject::of(event));
        let mut expected = 0;
        for _ in 0..ATTEMPTS {
            let (mut map, payload) = match delivery {
                Delivery::At(at) => (self.waiting(raw, event, &subject, at), raw.payload.clone()),
                Delivery::Never => (self.cancellation(), Bytes::new()),
            };
            set(&mut map, headers::SCHEDULED, event.position.to_string());
            set(&mut map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
            set(&mut map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, subject.either());
            let beaten = match self.publish(subject.waiting(), map, payload).await {
                Ok(()) => return Ok(()),
                Err(error) if was_beaten(&error) => error,
                Err(error) if is_permanent(&error) => return Err(ScheduleError::Refused(error)),
                Err(error) => return Err(ScheduleError::Write(error)),
            };
            let last = leader_get::last(stream, &subject.either()).await.map_err(ScheduleError::Read)?;
            if last.as_ref().and_then(position).is_some_and(|last| last.is_at_or_behind(event.position)) {
                return Ok(());
            }
            let last = last.map_or(0, |last| last.sequence);
            if last == expected {
                // Another message on these subjects is just being stored.
                return Err(ScheduleError::Write(beaten));
            }
            expected = last;
        }
        Err(ScheduleError::Contended)
    }

    /// Whether an event that was due does not count: it was replaced or cancelled before, or is there twice.
    pub async fn is_void(&self, raw: &RawEvent, event: &Event) -> Result<bool, ScheduleError> {
        let (Some(stream), Some(by), Some(sequence)) = (&self.stream, event.scheduled, due_sequence(raw))
        else {
            return Ok(false);
        };
        let subject = ScheduleSubject::of(event);
        let (either, due) = (subject.either(), subject.due());
        let (last, mut first) =
            tokio::try_join!(leader_get::last(stream, &either), leader_get::next(stream, &due, 1))
                .map_err(ScheduleError::Read)?;
        // What was said after the event was due comes too late for it.
        let is_between = |other: Position| {
            other != by && other.is_at_or_behind(by) && !other.is_at_or_behind(event.position)
        };
        if last.as_ref().and_then(position).is_some_and(is_between) {
            return Ok(true);
        }
        // It was due before the stream came back with less than it had.
        let settled = last.as_ref().filter(|last| position(last) == Some(by)).and_then(settled_at);
        if settled.is_some_and(|first| first != event.position) {
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
        let subject = ScheduleSubject::all_waiting(tenant);
        let scan = Scan::new(self.context.clone(), SCHEDULED, subject, Content::HeadersOnly);
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
    /// Others kept writing.
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
