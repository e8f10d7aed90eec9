//! The projector's reading of `EVENTS`: every event once, in order.
//!
//! A durable pull consumer with the pinned-client policy (NATS ADR-42) makes one of several
//! projectors the active one and remembers what was acknowledged. It is not trusted with order: a
//! delivery can be lost with a connection and come again half a minute later, behind younger
//! events. So the reader keeps a cursor of its own. What lies at or below it was handed out before
//! and is at most acknowledged again; what is missing between it and a delivery is read from the
//! stream itself before the delivery is handed out.
//!
//! As events are handed out in order and done in order, an acknowledgement speaks for all events before its own, too
//! (`AckPolicy::All`): one does for many. That holds while another projector takes over: what is done here is done,
//! whomever it was delivered to.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{
    AckPolicy, DeliverPolicy, IntoConsumerConfig as _, PriorityPolicy, PullConsumer, pull,
};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::message::{Acker, StreamMessage};
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tidings_model::{Epoch, Position, RawEvent};

use crate::convert::raw_event;
use crate::lives::{Known, Lives};
use crate::outage::Outage;
use crate::retry::Backoff;
use crate::topology::{self, Topology, epoch_of};

mod rollback;

use self::rollback::Found;

const GROUP: &str = "projector";
/// A standby takes over when the active one has not pulled for so long.
const TAKEOVER: Duration = Duration::from_secs(3);
/// Well below the takeover, as each pull renews the pin.
const PULL_EXPIRY: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_millis(500);
/// An event that is not acknowledged by then is delivered again: the last ones of a projector that
/// has gone wait for that, while a redelivery to one that is merely slow is recognised and costs
/// little.
const ACK_WAIT: Duration = Duration::from_secs(5);
/// The reader's caller bounds what is under way. A bound at the server would count what was
/// delivered to a projector that has gone, and make its successor wait until that comes again.
const NO_LIMIT: i64 = -1;

/// How far the reader may run ahead of its caller.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Events that are asked for at once.
    pub max_ahead: usize,
}

/// Reads `EVENTS` through a durable consumer.
pub struct EventReader {
    topology: Topology,
    name: String,
    pace: Pace,
    /// When the stream was created.
    created: Epoch,
    lives: Lives,
    /// The last event that was handed out, by which a roll-back shows.
    known: Option<Known>,
    stream: Arc<Stream>,
    consumer: PullConsumer,
    /// `None` after a fault, until the consumer is opened again.
    deliveries: Option<pull::Stream>,
    /// The sequence of the last event that was handed out.
    cursor: u64,
    /// Everything up to here is done; a delivery of it is acknowledged at once.
    done: u64,
    /// A delivery that waits for what is missing before it.
    held: Option<ReadEvent>,
    /// The newest event that is done and not yet acknowledged.
    unacknowledged: Option<Acker>,
    /// A request whose answer comes before anything else. It is kept, so that whoever drops [`EventReader::next`] again and
    /// again does not begin it again and again.
    asked: Option<BoxFuture<'static, Answer>>,
    backoff: Backoff,
    outage: Outage,
}

/// What NATS has answered to the request of a reader.
enum Answer {
    /// The stream as it is now, and the consumer's deliveries.
    Opened(Result<Box<(Found, pull::Stream)>, ReaderError>),
    /// How far others have acknowledged.
    Acknowledged(Result<u64, ReaderError>),
    /// The first event behind the cursor.
    Missing(Result<Option<StreamMessage>, ReaderError>),
}

/// An event that was read; goes back to [`EventReader::done`].
pub struct ReadEvent {
    /// The event.
    pub event: RawEvent,
    /// Absent for what was read from the stream itself; the event is acknowledged with a later one, or when its
    /// delivery comes.
    acker: Option<Acker>,
}

impl EventReader {
    /// Opens the durable consumer of this name, creating it if it is missing.
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
            known: None,
            stream: Arc::clone(&topology.events),
            consumer,
            deliveries: None,
            cursor: floor,
            done: floor,
            held: None,
            unacknowledged: None,
            asked: None,
            backoff: Backoff::new(),
            outage: Outage::new("durable consumer of EVENTS"),
        })
    }

    /// The next event. Waits out every fault of NATS. May be dropped while it waits without
    /// losing anything.
    pub async fn next(&mut self) -> ReadEvent {
        loop {
            if let Some(read) = self.next_in_order().await {
                let RawEvent { position, stored_at: at, .. } = read.event;
                self.known = Some(Known { position, at, is_exact: true });
                return read;
            }
        }
    }

    /// Where the last event lies that was handed out, or was done before.
    #[must_use]
    pub fn position(&self) -> Position {
        self.lives.position(self.created, self.cursor)
    }

    /// The sequence of the last event before which all are acknowledged, by whomever.
    pub async fn acknowledged(&mut self) -> Result<u64, ReaderError> {
        acknowledged(&self.stream, &self.name).await
    }

    /// Notes that this event and every one before it is done; [`EventReader::acknowledge`] tells NATS.
    pub fn done(&mut self, read: ReadEvent) {
        let position = read.event.position;
        // What was read in a former life is acknowledged by no sequence of this one.
        if self.lives.position(self.created, position.sequence) == position {
            self.done = self.done.max(position.sequence);
            self.unacknowledged = read.acker.or(self.unacknowledged.take());
        }
    }

    /// Asks for no more events until [`EventReader::next`] is called again: another projector leads.
    pub fn stand_by(&mut self) {
        (self.deliveries, self.asked) = (None, None);
    }

    /// Tells NATS what is done. An acknowledgement that gets lost costs redeliveries, which are recognised.
    pub async fn acknowledge(&mut self) {
        let Some(acker) = self.unacknowledged.take() else { return };
        if let Err(error) = acker.ack().await {
            tracing::warn!(%error, through = self.done, "could not acknowledge events; they will come again");
        }
    }

    /// Moves on to what others have acknowledged meanwhile, after another projector was active.
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
        self.backoff.wait().await;
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

    /// Something lies, or lay, between the cursor and the delivery that waits.
    fn has_gap(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.event.position.sequence > self.cursor + 1)
    }

    fn hand_out_held(&mut self) -> Option<ReadEvent> {
        let held = self.held.take()?;
        self.cursor = held.event.position.sequence;
        Some(held)
    }

    /// A delivery of what was handed out before.
    async fn repeated(&mut self, repeated: ReadEvent) {
        let sequence = repeated.event.position.sequence;
        let is_before = |known: &Known| sequence <= known.position.sequence;
        if self.known.filter(is_before).is_some_and(|known| repeated.event.stored_at > known.at) {
            // Younger than what was handed out last, and yet before it.
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
                self.recovered();
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
            // What is done cannot be passed over then: it is read, and found to be done, one by one.
            Answer::Acknowledged(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot skip what others have done");
            }
            Answer::Opened(Err(error)) | Answer::Missing(Err(error)) => self.failed(&error),
        }
        None
    }

    /// What lies between the cursor and a delivery was perhaps done by another projector, while this one stood by.
    fn ask_for_acknowledged(&mut self) {
        let (name, stream) = (self.name.clone(), Arc::clone(&self.stream));
        self.asked = Some(Box::pin(async move { Answer::Acknowledged(acknowledged(&stream, &name).await) }));
    }

    /// Asks for the oldest event after the cursor that the consumer has not delivered. It asks the stream's leader: a
    /// replica may not have it yet.
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

    /// Opens the consumer, after a look at the stream.
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
                self.recovered();
                self.delivered(message)
            }
            Some(Err(error)) if error.kind() == pull::MessagesErrorKind::MissingHeartbeat => {
                tracing::debug!("no heartbeat from the consumer; NATS may be away");
                None
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "reading EVENTS is disturbed; opening the consumer again");
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
        self.backoff.failed();
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

    fn failed(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.outage.begin(error, Duration::ZERO);
        self.backoff.failed();
    }

    fn recovered(&mut self) {
        self.outage.end();
        self.backoff.succeeded();
    }
}

/// The sequence of the last event before which all are acknowledged.
async fn acknowledged(stream: &Stream, name: &str) -> Result<u64, ReaderError> {
    match stream.consumer_info(name).await {
        Ok(info) => Ok(info.ack_floor.stream_sequence),
        // It is created again before the next event is read.
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(0),
        Err(source) => Err(ReaderError::new(name, source)),
    }
}

async fn open_consumer(stream: &Stream, name: &str) -> Result<PullConsumer, ReaderError> {
    let config = pull::Config {
        durable_name: Some(name.to_owned()),
        description: Some("Tidings: how far the projector is".to_owned()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::All,
        ack_wait: ACK_WAIT,
        max_ack_pending: NO_LIMIT,
        priority_policy: PriorityPolicy::PinnedClient,
        priority_groups: vec![GROUP.to_owned()],
        priority_timeout: TAKEOVER,
        ..pull::Config::default()
    };
    let wanted = (&config).into_consumer_config();
    let opened = stream.get_or_create_consumer(name, config).await;
    let consumer = opened.map_err(|source| ReaderError::new(name, source))?;
    // What lies there is taken as it is.
    let found = &consumer.cached_info().config;
    topology::consumer::check(name, &wanted, found).map_err(|source| ReaderError::new(name, source))?;
    Ok(consumer)
}

/// The durable consumer cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the durable consumer {name:?} of stream EVENTS")]
pub struct ReaderError {
    name: String,
    #[source]
    source: async_nats::Error,
}

impl ReaderError {
    /// Whether it may be otherwise a moment later, without anybody changing a setting.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        !self.source.is::<topology::consumer::DifferentConsumer>()
    }

    fn new(name: &str, source: impl Into<async_nats::Error>) -> Self {
        Self { name: name.to_owned(), source: source.into() }
    }
}
