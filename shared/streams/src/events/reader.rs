//! Reads `EVENTS` for the projector: every event once, in order.
//!
//! A durable pull consumer with the pinned-client policy (NATS ADR-42) makes one of several projectors the active one
//! and stores what was acknowledged. The reader does not rely on its order: a delivery can be lost with a connection
//! and arrive again half a minute later, after younger events. So the reader keeps its own cursor. Events at or below
//! it were returned before and are at most acknowledged again; events missing between it and a delivery are read from
//! the stream itself before the delivery is returned.
//!
//! As events are returned in order and completed in order, an acknowledgement covers all events before its own
//! (`AckPolicy::All`): one is sent for many. That also holds while another projector takes over: an event that is done
//! here is done, whichever projector it was delivered to.
//!
//! Acknowledgements only save work: a projector finds its place by what it has written. A projector that was killed
//! leaves at most [`MANY`] events, or those of [`SPAN`], that are done and not acknowledged; its successor reads them
//! again and finds that they are done. So an acknowledgement is sent when many are owed, when nothing else is to do, and
//! otherwise a few times a second, well before the server would deliver the events again.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::message::{Acker, StreamMessage};
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tidings_model::{Epoch, Position, RawEvent};
use tokio::time::Instant;

use super::stored_event::raw_event;
use crate::nats::{Retry, epoch_of};
use crate::topology::Topology;
use crate::topology::lives::{Known, Lives};

mod consumer;
mod found;
mod rollback;

pub use self::consumer::ReaderError;
pub(crate) use self::consumer::continue_behind;

use self::consumer::{acknowledged, open_consumer};
use self::found::{Found, Recent};

/// How many events are done before an acknowledgement is sent at once.
const MANY: u64 = 256;
/// How long an acknowledgement may wait while events keep coming.
const SPAN: Duration = Duration::from_millis(250);

/// How far the reader may run ahead of its caller.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How many events are requested at once.
    pub max_ahead: usize,
}

/// Reads `EVENTS` through a durable consumer.
pub struct EventReader {
    topology: Topology,
    name: String,
    pace: Pace,
    /// The epoch of the stream.
    created: Epoch,
    lives: Lives,
    /// The last events that were returned, by which a rollback is detected.
    recent: Recent,
    stream: Arc<Stream>,
    consumer: PullConsumer,
    /// `None` after a fault, until the consumer is opened again.
    deliveries: Option<pull::Stream>,
    /// The sequence of the last event that was returned.
    cursor: u64,
    /// Everything up to here is done; a delivery of it is acknowledged at once.
    done: u64,
    /// A delivery that waits for the events missing before it.
    held: Option<ReadEvent>,
    /// The newest event that is done and not yet acknowledged.
    unacknowledged: Option<Acker>,
    /// The last event that this reader has acknowledged, and when.
    acknowledged: (u64, Instant),
    /// What was done at the last call of [`EventReader::acknowledge_rest`].
    done_before: u64,
    /// A request whose answer is needed before anything else. It is stored here, so that a caller that drops
    /// [`EventReader::next`] repeatedly does not restart it each time.
    asked: Option<BoxFuture<'static, Answer>>,
    retry: Retry,
}

/// The answer of NATS to a request of the reader.
enum Answer {
    /// The current stream, and the consumer's deliveries.
    Opened(Result<Box<(Found, pull::Stream)>, ReaderError>),
    /// How far others have acknowledged.
    Acknowledged(Result<u64, ReaderError>),
    /// The first event after the cursor.
    Missing(Result<Option<StreamMessage>, ReaderError>),
}

/// An event that was read; pass it to [`EventReader::done`] when it is done.
pub struct ReadEvent {
    /// The event.
    pub event: RawEvent,
    /// `None` for an event that was read from the stream itself; it is acknowledged with a later one, or when its
    /// delivery arrives.
    acker: Option<Acker>,
}

impl EventReader {
    /// Opens the durable consumer of this name; creates it if it is missing.
    pub async fn open(topology: &Topology, name: &str, pace: Pace) -> Result<Self, ReaderError> {
        let consumer = open_consumer(&topology.events, name).await?;
        let floor = consumer.cached_info().ack_floor.stream_sequence;
        let lives = topology.lives().await.map_err(|source| ReaderError::new(name, source))?;
        Ok(Self {
            topology: topology.clone(),
            name: name.to_owned(),
            pace,
            created: epoch_of(topology.events.cached_info()),
            lives,
            recent: Recent::default(),
            stream: Arc::clone(&topology.events),
            consumer,
            deliveries: None,
            cursor: floor,
            done: floor,
            held: None,
            unacknowledged: None,
            acknowledged: (floor, Instant::now()),
            done_before: floor,
            asked: None,
            retry: Retry::to("read stream EVENTS"),
        })
    }

    /// Returns the next event. Waits until faults of NATS have passed. Cancel-safe.
    pub async fn next(&mut self) -> ReadEvent {
        loop {
            if let Some(read) = self.next_in_order().await {
                let RawEvent { position, stored_at: at, .. } = read.event;
                self.recent.note(Known { position, at, is_exact: true });
                return read;
            }
        }
    }

    /// The position of the last event that was returned, or was done before.
    #[must_use]
    pub fn position(&self) -> Position {
        self.lives.position(self.created, self.cursor)
    }

    /// The sequence up to which all events are done, as far as this reader knows.
    #[must_use]
    pub fn done_through(&self) -> u64 {
        self.done
    }

    /// The sequence up to which all events are acknowledged, by any projector.
    pub async fn acknowledged(&mut self) -> Result<u64, ReaderError> {
        acknowledged(&self.stream, &self.name).await
    }

    /// Marks this event and all before it as done; [`EventReader::acknowledge`] and the like send that to NATS.
    pub fn done(&mut self, read: ReadEvent) {
        let position = read.event.position;
        // Sequences of this epoch do not acknowledge events of an earlier one.
        if self.lives.position(self.created, position.sequence) == position {
            self.done = self.done.max(position.sequence);
            self.unacknowledged = read.acker.or(self.unacknowledged.take());
        }
    }

    /// Requests no more events until [`EventReader::next`] is called again, because another projector leads.
    pub fn stand_by(&mut self) {
        (self.deliveries, self.asked) = (None, None);
    }

    /// Whether so much is done that it is to be acknowledged at once.
    #[must_use]
    pub fn owes_many(&self) -> bool {
        self.done.saturating_sub(self.acknowledged.0) >= MANY
    }

    /// Acknowledges what is done if nothing was done since the last call, or if it has waited long enough. Call it a few
    /// times in a quarter of a second.
    pub async fn acknowledge_rest(&mut self) {
        let is_idle = std::mem::replace(&mut self.done_before, self.done) == self.done;
        if is_idle || self.acknowledged.1.elapsed() >= SPAN {
            self.acknowledge().await;
        }
    }

    /// Acknowledges what is done. A lost acknowledgement costs redeliveries, which are detected.
    pub async fn acknowledge(&mut self) {
        let Some(acker) = self.unacknowledged.take() else { return };
        self.acknowledged = (self.done, Instant::now());
        if let Err(error) = acker.ack().await {
            tracing::warn!(%error, through = self.done, "could not acknowledge events; they will be delivered again");
        }
    }

    /// Skips what other projectors acknowledged while they were active.
    pub async fn catch_up(&mut self) -> Result<(), ReaderError> {
        let floor = self.acknowledged().await?;
        self.pass_over(floor);
        Ok(())
    }

    fn pass_over(&mut self, floor: u64) {
        self.done = self.done.max(floor);
        self.cursor = self.cursor.max(floor);
    }

    async fn next_in_order(&mut self) -> Option<ReadEvent> {
        if let Some(asked) = &mut self.asked {
            let answer = asked.await;
            self.asked = None;
            return self.answered(answer);
        }
        self.retry.wait().await;
        if self.held.is_none() {
            if self.deliveries.is_none() {
                self.ask_to_open();
                return None;
            }
            self.held = self.next_delivery().await;
            if self.has_gap() {
                self.ask_for_acknowledged();
                return None;
            }
        }
        if self.held.as_ref()?.event.position.sequence <= self.cursor {
            let repeated = self.held.take()?;
            self.repeated(repeated).await;
            return None;
        }
        if self.has_gap() {
            self.ask_for_missing();
            return None;
        }
        self.hand_out_held()
    }

    /// Whether there are, or were, events between the cursor and the waiting delivery.
    fn has_gap(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.event.position.sequence > self.cursor + 1)
    }

    fn hand_out_held(&mut self) -> Option<ReadEvent> {
        let held = self.held.take()?;
        self.cursor = held.event.position.sequence;
        Some(held)
    }

    /// Handles a delivery of an event that was returned before.
    async fn repeated(&mut self, repeated: ReadEvent) {
        let sequence = repeated.event.position.sequence;
        let is_before = |known: &Known| sequence <= known.position.sequence;
        if self.recent.last().filter(is_before).is_some_and(|known| repeated.event.stored_at > known.at) {
            // It is younger than the last returned event, and yet before it: the stream was rolled back.
            self.close();
        } else if sequence <= self.done {
            self.unacknowledged = self.unacknowledged.take().or(repeated.acker);
            self.acknowledge().await;
        }
    }

    fn answered(&mut self, answer: Answer) -> Option<ReadEvent> {
        match answer {
            Answer::Opened(Ok(opened)) => {
                let (found, deliveries) = *opened;
                self.take_up(found);
                self.deliveries = Some(deliveries);
            }
            Answer::Acknowledged(Ok(floor)) => self.pass_over(floor),
            Answer::Missing(Ok(found)) => {
                self.retry.succeeded();
                let waiting = self.held.as_ref()?.event.position.sequence;
                let Some(message) = found.filter(|message| message.sequence < waiting) else {
                    return if waiting > self.cursor { self.hand_out_held() } else { None };
                };
                if message.sequence <= self.cursor {
                    return None;
                }
                self.cursor = message.sequence;
                return Some(ReadEvent { event: self.stored_event(message), acker: None });
            }
            // Without this answer events that are done are not skipped; they are read and found to be done, one by one.
            Answer::Acknowledged(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot skip what others have done");
            }
            Answer::Opened(Err(error)) | Answer::Missing(Err(error)) => self.retry.failed(&error),
        }
        None
    }

    /// Asks what others acknowledged: events before the waiting delivery may have been done by another projector.
    fn ask_for_acknowledged(&mut self) {
        let (name, stream) = (self.name.clone(), Arc::clone(&self.stream));
        self.asked = Some(Box::pin(async move { Answer::Acknowledged(acknowledged(&stream, &name).await) }));
    }

    /// Asks for the oldest event after the cursor that the consumer has not delivered. Asks the stream's leader,
    /// because a replica may not have it yet.
    fn ask_for_missing(&mut self) {
        let (name, stream, next) = (self.name.clone(), Arc::clone(&self.stream), self.cursor + 1);
        self.asked = Some(Box::pin(async move {
            let missing =
                stream.raw_message_builder().sequence(next).next_by_subject("events.>").send().await;
            Answer::Missing(match missing {
                Ok(message) => Ok(Some(message)),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(ReaderError::new(&name, error)),
            })
        }));
    }

    /// Opens the consumer, after a comparison with the stream.
    fn ask_to_open(&mut self) {
        let (view, batch) = (self.view(), self.pace.max_ahead.min(500));
        self.asked =
            Some(Box::pin(async move { Answer::Opened(Box::pin(view.open(batch)).await.map(Box::new)) }));
    }

    fn stored_event(&self, message: StreamMessage) -> RawEvent {
        let position = self.lives.position(self.created, message.sequence);
        raw_event(&message.subject, Some(&message.headers), message.payload, position, message.time)
    }

    async fn next_delivery(&mut self) -> Option<ReadEvent> {
        match self.deliveries.as_mut()?.next().await {
            Some(Ok(message)) => {
                self.retry.succeeded();
                self.delivered(message)
            }
            Some(Err(error)) if error.kind() == pull::MessagesErrorKind::MissingHeartbeat => {
                tracing::debug!("no heartbeat from the consumer; NATS may be unavailable");
                None
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot read EVENTS; opening the consumer again");
                self.close();
                None
            }
            None => {
                self.close();
                None
            }
        }
    }

    fn close(&mut self) {
        self.deliveries = None;
        self.retry.interrupted();
    }

    fn delivered(&self, message: jetstream::Message) -> Option<ReadEvent> {
        let (sequence, stored_at) = match message.info() {
            Ok(info) => (info.stream_sequence, info.published),
            Err(error) => {
                tracing::error!(%error, "NATS delivered a message without its position");
                return None;
            }
        };
        let (message, acker) = message.split();
        let position = self.lives.position(self.created, sequence);
        let event =
            raw_event(&message.subject, message.headers.as_ref(), message.payload, position, stored_at);
        Some(ReadEvent { event, acker: Some(acker) })
    }
}
