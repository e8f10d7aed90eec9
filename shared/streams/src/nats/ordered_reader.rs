//! Reads a stream, or some of its subjects, in order.
//!
//! It is a plain ephemeral pull consumer without acknowledgements. After every fault the reader creates a new consumer
//! at the next sequence, so nothing is skipped or repeated, whatever happens to the consumer. A new connection counts as
//! a fault: a delivery may have been lost with the former one, and no other may follow that shows it. The client
//! library's own ordered consumer does the same, but was measured to resume 15 s after a server's restart; with the
//! heartbeat used here it takes about one second.
//!
//! In a cluster the consumer may be on a server whose replica of the stream is behind, and says that nothing is left when
//! it has delivered all of *that*. Going on reading waits for the rest; who wants to know whether there is a rest asks the
//! stream's leader ([`OrderedReader::has_read_all`]).

use std::time::Duration;

use async_nats::jetstream::stream::{Info, RawMessageErrorKind, Stream};
use async_nats::jetstream::{Context, Message};
use futures_util::StreamExt as _;
use tidings_model::{Epoch, Position};
use time::OffsetDateTime;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use super::selection::Deliveries;
use super::{Retry, SKEW, Selection, connects, epoch_of, leader_get, reaching};

/// How often the reader checks whether the client has reconnected.
const GLANCE: Duration = Duration::from_millis(250);
/// How long to wait for messages that NATS reported as pending.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait before another consumer is created, if a replica that is behind serves this one.
const BEHIND: Duration = Duration::from_millis(100);
/// How often in a row no pending message may come before a read of what is pending fails.
const MOST_SILENCES: u32 = 10;

/// The log text after a rollback.
const ROLLED_BACK: &str = "the stream was rolled back to an older state; reading it from its beginning";

/// Reads a stream from a position on.
pub(crate) struct OrderedReader {
    context: Context,
    selection: Selection,
    epoch: Epoch,
    /// The stream sequence before the next message.
    last: u64,
    /// The consumer's own count, by which a lost delivery is detected.
    delivered: u64,
    /// The consumer's count that the server reported when it was asked last.
    inquired: u64,
    /// How many messages followed the last one that was read, at the time when NATS sent it.
    pending: u64,
    /// The stream's last sequence when the consumer was created; 0 if no replica can be behind.
    reach: u64,
    /// `None` after a fault, until the consumer is recreated.
    deliveries: Option<Deliveries>,
    /// How many times the client had connected before the consumer was created.
    connects: u64,
    glance: Interval,
    /// The stream was recreated, and the caller does not know yet.
    renewed: bool,
    /// When the last message that was read was stored: a different message at its sequence came after a rollback.
    last_read: Option<OffsetDateTime>,
    retry: Retry,
}

/// What the reader returns.
pub(crate) enum Read {
    /// The next messages, in order; empty while a fault is handled.
    Messages(Vec<Delivered>),
    /// The stream was recreated or rolled back (then with the same epoch); reading continues at its first message.
    Renewed(Epoch),
}

/// A message with its sequence and time.
pub(crate) struct Delivered {
    pub(crate) message: Message,
    pub(crate) sequence: u64,
    /// When the stream stored it.
    pub(crate) time: OffsetDateTime,
}

impl OrderedReader {
    /// Reads the messages after this position. If the stream has been recreated since, the first result is
    /// [`Read::Renewed`].
    pub(crate) async fn open(
        context: Context,
        selection: Selection,
        after: Position,
    ) -> Result<Self, async_nats::Error> {
        let mut reader = Self::new(context, selection, after);
        reader.reopen().await?;
        Ok(reader)
    }

    /// Reads all messages that the stream has, and those that follow.
    pub(crate) async fn open_at_start(
        context: Context,
        selection: Selection,
    ) -> Result<Self, async_nats::Error> {
        let mut reader = Self::new(context, selection, Position { epoch: Epoch(0), sequence: 0 });
        reader.reopen().await?;
        // Whatever its epoch is, it is the first one that the caller learns.
        reader.renewed = false;
        Ok(reader)
    }

    /// As [`Self::open`]; the message at the position was stored at this time, by which a rollback is detected.
    pub(crate) async fn open_behind(
        context: Context,
        selection: Selection,
        after: Position,
        stored_at: OffsetDateTime,
    ) -> Result<Self, async_nats::Error> {
        let mut reader = Self::new(context, selection, after);
        reader.last_read = Some(stored_at);
        reader.reopen().await?;
        Ok(reader)
    }

    fn new(context: Context, selection: Selection, after: Position) -> Self {
        let retry = Retry::to(format!("read stream {}", selection.stream()));
        let mut glance = interval(GLANCE);
        glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            context,
            selection,
            epoch: after.epoch,
            last: after.sequence,
            delivered: 0,
            inquired: 0,
            pending: 0,
            reach: 0,
            deliveries: None,
            connects: 0,
            glance,
            renewed: false,
            last_read: None,
            retry,
        }
    }

    /// The position up to which everything was read.
    pub(crate) fn position(&self) -> Position {
        Position { epoch: self.epoch, sequence: self.last }
    }

    /// How many messages followed the last one that was read, at the time when NATS sent it.
    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// Whether something may have been missed: the next read creates a new consumer.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.deliveries.is_none()
    }

    /// Reads available messages, or handles a fault. Cancel-safe.
    pub(crate) async fn read(&mut self) -> Read {
        if std::mem::take(&mut self.renewed) {
            return Read::Renewed(self.epoch);
        }
        let Some(deliveries) = &mut self.deliveries else {
            self.reopen_later().await;
            return Read::Messages(Vec::new());
        };
        let chunk = loop {
            tokio::select! {
                biased;
                chunk = deliveries.messages.next() => break chunk.ok_or("the delivery ended"),
                _ = self.glance.tick() => if connects(&self.context.client()) != self.connects {
                    break Err("the client has reconnected");
                },
            }
        };
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(reason) => {
                self.close(reason);
                return Read::Messages(Vec::new());
            }
        };
        // No await from here on: the messages taken would be lost with this future.
        let mut messages = Vec::with_capacity(chunk.len());
        for delivery in chunk {
            match delivery {
                Ok(message) => match self.take(message) {
                    Some(stored) => messages.push(stored),
                    None => break,
                },
                Err(error) => {
                    self.close(&error.to_string());
                    break;
                }
            }
        }
        Read::Messages(messages)
    }

    /// Reads messages that the stream already has; `None` when nothing is left. Does not wait until a fault has passed,
    /// but fails. Cancel-safe.
    pub(crate) async fn read_pending(&mut self) -> Result<Option<Read>, async_nats::Error> {
        for _ in 0..MOST_SILENCES {
            if self.pending == 0 && !self.renewed {
                if self.has_read_all().await? {
                    return Ok(None);
                }
                sleep(BEHIND).await;
                Box::pin(self.reopen()).await?;
                continue;
            }
            match timeout(PATIENCE, self.read()).await {
                // A fault was handled.
                Ok(Read::Messages(messages)) if messages.is_empty() => {}
                Ok(read) => return Ok(Some(read)),
                // What was pending may have been removed meanwhile; a new consumer reports the current state.
                Err(_) => Box::pin(self.reopen()).await?,
            }
        }
        Err("NATS sent no messages although some are left".into())
    }

    /// Whether everything was read that the stream held when the consumer was created. `false` although nothing is pending
    /// if a replica that is behind serves the consumer.
    pub(crate) async fn has_read_all(&self) -> Result<bool, async_nats::Error> {
        if self.pending > 0 {
            return Ok(false);
        }
        self.selection.is_read(&self.context, (self.last, self.reach)).await
    }

    /// Asks the server whether everything that it has delivered has arrived here. Only this detects a lost delivery that
    /// no other one follows. Also learns how many messages are pending: the last of them may have been removed.
    pub(crate) async fn inquire(&mut self) {
        let Some(Deliveries { consumer, .. }) = &self.deliveries else { return };
        // What was delivered before the last inquiry would have arrived by now.
        if self.delivered < self.inquired {
            return self.close("a delivery was lost");
        }
        match consumer.get_info().await {
            Ok(info) => {
                self.inquired = info.delivered.consumer_sequence;
                if self.inquired == self.delivered {
                    self.pending = info.num_pending;
                }
            }
            Err(error) => self.close(&error.to_string()),
        }
    }

    /// Deletes the consumer. If this fails, the server removes it after a while.
    pub(crate) async fn finish(mut self) {
        let Some(Deliveries { consumer, messages }) = self.deliveries.take() else { return };
        drop(messages);
        let (name, stream) = (&consumer.cached_info().name, self.selection.stream());
        if let Err(error) = self.context.delete_consumer_from_stream(name, stream).await {
            tracing::debug!(%error, stream, "cannot delete the consumer of a reader");
        }
    }

    /// Recreates the consumer. If the stream was recreated or rolled back, too, the next result is [`Read::Renewed`].
    /// Nothing changes unless all of it succeeds, so that a renewal is always reported.
    pub(crate) async fn reopen(&mut self) -> Result<(), async_nats::Error> {
        let (mut epoch, mut last, mut is_rolled_back) = (self.epoch, self.last, false);
        loop {
            let connects = connects(&self.context.client());
            let deliveries = Box::pin(self.selection.deliver(&self.context, last)).await?;
            let pending = deliveries.consumer.cached_info().num_pending;
            // Looked up after the consumer was created: the consumer reads this stream or none.
            let stream = self.context.get_stream(self.selection.stream()).await?;
            let found = epoch_of(stream.cached_info());
            if found != epoch {
                epoch = found;
                if std::mem::take(&mut last) > 0 {
                    continue;
                }
            }
            if last > 0 && last == self.last && self.is_rolled_back(&stream).await? {
                tracing::error!(stream = self.selection.stream(), read_through = last, "{ROLLED_BACK}");
                (last, is_rolled_back) = (0, true);
                continue;
            }
            self.renewed |= epoch != self.epoch || is_rolled_back;
            if self.renewed {
                self.last_read = None;
            }
            let Info { config, state, .. } = stream.cached_info();
            self.reach = if config.num_replicas > 1 { state.last_sequence } else { 0 };
            (self.epoch, self.last, self.delivered, self.pending) = (epoch, last, 0, pending);
            (self.deliveries, self.connects, self.inquired) = (Some(deliveries), connects, 0);
            self.retry.succeeded();
            return Ok(());
        }
    }

    /// Whether the stream ends before the last sequence that was read, or has another message there. If the message was
    /// removed, whether one at or before its place was stored later.
    async fn is_rolled_back(&self, stream: &Stream) -> Result<bool, async_nats::Error> {
        if stream.cached_info().state.last_sequence < self.last
            && reaching(stream, self.last).await?.state.last_sequence < self.last
        {
            return Ok(true);
        }
        let Some(stored_at) = self.last_read else { return Ok(false) };
        match stream.get_raw_message(self.last).await {
            Ok(message) => Ok(message.time != stored_at),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                let name = self.selection.stream();
                let later = leader_get::first_since(&self.context, name, stored_at + SKEW).await?;
                Ok(later.is_some_and(|sequence| sequence <= self.last))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn reopen_later(&mut self) {
        self.retry.wait().await;
        if let Err(error) = Box::pin(self.reopen()).await {
            self.retry.failed(&*error);
        }
    }

    /// Accepts a delivery, unless one before it was lost.
    fn take(&mut self, message: Message) -> Option<Delivered> {
        let Ok(info) = message.info() else {
            self.close("a delivery has no position");
            return None;
        };
        let (delivered, sequence, time) = (info.consumer_sequence, info.stream_sequence, info.published);
        let pending = info.pending;
        if delivered != self.delivered + 1 {
            self.close("a delivery was lost");
            return None;
        }
        self.retry.succeeded();
        (self.delivered, self.last, self.pending) = (delivered, sequence, pending);
        self.last_read = Some(time);
        Some(Delivered { message, sequence, time })
    }

    fn close(&mut self, reason: &str) {
        tracing::debug!(
            reason,
            stream = self.selection.stream(),
            after = self.last,
            "recreating the consumer"
        );
        self.deliveries = None;
        self.retry.interrupted();
    }
}
