//! A gateway's reading of `ENVELOPES`: one ordered read for all of its clients.
//!
//! A plain ephemeral pull consumer without acknowledgements, made anew at the next sequence after
//! every fault, so nothing is skipped or repeated whatever happens to the consumer. The client
//! library's own ordered consumer does the same, but was measured to resume 15 s after a server's
//! restart; with the heartbeat here it is about one second.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use futures_util::StreamExt as _;
use futures_util::stream::ReadyChunks;
use tidings_model::{Address, EnvelopeSubject, Epoch, Position, Tenant};

use crate::convert::StoredEnvelope;
use crate::purge::purged;
use crate::retry::Backoff;
use crate::topology::{ENVELOPES, Topology, epoch_of};

/// How many messages are asked for at a time, and handed out at most.
const BATCH: usize = 512;
/// How long to wait for what is said to be there.
const PATIENCE: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_millis(500);
const PULL_EXPIRY: Duration = Duration::from_secs(5);
/// The server forgets a consumer whose gateway is gone.
const INACTIVE: Duration = Duration::from_secs(30);

/// Reads the envelopes from a sequence on.
pub struct EnvelopeFollower {
    context: Context,
    content: Content,
    /// The subjects that are read; all, if there are none.
    subjects: Vec<String>,
    epoch: Epoch,
    /// The stream sequence before the next envelope.
    last: u64,
    /// The consumer's own count, in which a lost delivery shows.
    delivered: u64,
    /// How many envelopes there were behind the last one that was read, when NATS sent it.
    pending: u64,
    /// `None` after a fault, until the consumer is made anew.
    deliveries: Option<ReadyChunks<pull::Stream>>,
    /// Read and not yet handed out.
    ready: VecDeque<Followed>,
    backoff: Backoff,
}

/// How much of each envelope is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Whole,
    /// Everything but the body: enough to know what lies where.
    HeadersOnly,
}

/// What the follower hands out.
#[derive(Debug)]
pub enum Followed {
    /// The next envelopes, in order.
    Envelopes(Vec<StoredEnvelope>),
    /// Everything at this address was removed from the stream on request.
    Purged(Tenant, Address),
    /// The stream was made anew: no earlier sequence means anything any more, and what follows
    /// begins at the new stream's first envelope.
    Renewed(Epoch),
}

impl EnvelopeFollower {
    /// Reads what comes after this position. If the stream has been made anew since, the first
    /// that is handed out says so.
    pub async fn after(
        topology: &Topology,
        position: Position,
        content: Content,
    ) -> Result<Self, FollowError> {
        Self::open(topology, position, content, Vec::new()).await
    }

    /// Reads what lies at these addresses after this position. JetStream finds it by scanning, so
    /// this is for few readers at a time.
    pub async fn at_addresses(
        topology: &Topology,
        position: Position,
        tenant: &Tenant,
        addresses: &[Address],
    ) -> Result<Self, FollowError> {
        let subjects = addresses.iter().map(|address| EnvelopeSubject::at(tenant, address)).collect();
        Self::open(topology, position, Content::Whole, subjects).await
    }

    async fn open(
        topology: &Topology,
        position: Position,
        content: Content,
        subjects: Vec<String>,
    ) -> Result<Self, FollowError> {
        let mut follower = Self {
            context: topology.context.clone(),
            content,
            subjects,
            epoch: position.epoch,
            last: position.sequence,
            delivered: 0,
            pending: 0,
            deliveries: None,
            ready: VecDeque::new(),
            backoff: Backoff::new(),
        };
        follower.reopen().await?;
        Ok(follower)
    }

    /// Up to where everything was read, and handed out but for what [`Self::has_more`].
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, sequence: self.last }
    }

    /// Whether something was read that was not handed out yet.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many envelopes there were behind the last one that was read, when NATS sent it.
    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// What comes next. Waits out every fault of NATS. May be dropped while it waits without
    /// losing anything.
    pub async fn next(&mut self) -> Followed {
        loop {
            if let Some(followed) = self.ready.pop_front() {
                return followed;
            }
            self.read().await;
        }
    }

    /// What comes next of what there is already, or `None` when nothing is left. May be dropped
    /// while it waits without losing anything.
    pub async fn next_pending(&mut self) -> Result<Option<Followed>, FollowError> {
        loop {
            if let Some(followed) = self.ready.pop_front() {
                return Ok(Some(followed));
            }
            if self.pending == 0 {
                return Ok(None);
            }
            if tokio::time::timeout(PATIENCE, self.read()).await.is_err() {
                // What was pending may have been removed meanwhile; a new consumer knows.
                self.reopen().await?;
            }
        }
    }

    /// Reads what is there into what is ready, or mends what is broken.
    async fn read(&mut self) {
        if self.deliveries.is_none() {
            self.backoff.wait().await;
            if let Err(error) = self.reopen().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "trying again");
                self.backoff.failed();
            }
            return;
        }
        let Some(deliveries) = &mut self.deliveries else { return };
        let Some(chunk) = deliveries.next().await else { return self.close("the delivery ended") };
        // No waiting from here on: what was taken would be lost with this future.
        for delivery in chunk {
            match delivery {
                Ok(message) => {
                    if !self.take(&message) {
                        return;
                    }
                }
                Err(error) => return self.close(&error.to_string()),
            }
        }
    }

    /// Takes a delivery, unless one before it got lost.
    fn take(&mut self, message: &async_nats::jetstream::Message) -> bool {
        let Ok(info) = message.info() else {
            self.close("a delivery has no position");
            return false;
        };
        if info.consumer_sequence != self.delivered + 1 {
            self.close("a delivery got lost");
            return false;
        }
        self.backoff.succeeded();
        (self.delivered, self.last, self.pending) =
            (info.consumer_sequence, info.stream_sequence, info.pending);
        if let Some(envelope) = StoredEnvelope::from_message(message, info.stream_sequence, info.published) {
            match self.ready.back_mut() {
                Some(Followed::Envelopes(envelopes)) => envelopes.push(envelope),
                _ => self.ready.push_back(Followed::Envelopes(vec![envelope])),
            }
        } else if let Some((tenant, address)) = purged(&message.subject) {
            self.ready.push_back(Followed::Purged(tenant, address));
        } else {
            let (subject, sequence) = (&message.subject, info.stream_sequence);
            tracing::warn!(%subject, sequence, "passing over a message in ENVELOPES that no projector wrote");
        }
        true
    }

    fn close(&mut self, reason: &str) {
        tracing::debug!(reason, after = self.last, "making the consumer of ENVELOPES anew");
        self.deliveries = None;
        self.backoff.failed();
    }

    /// Makes the consumer anew; what is handed out next says so if the stream was made anew, too.
    /// Nothing changes unless all of it succeeds, so that a renewal is never noted and then not
    /// reported.
    async fn reopen(&mut self) -> Result<(), FollowError> {
        let (mut epoch, mut last) = (self.epoch, self.last);
        loop {
            let (deliveries, pending) = self.make_consumer(last + 1).await?;
            // After the consumer was made: the stream that it reads is this one or none.
            let stream = self.context.get_stream(ENVELOPES).await.map_err(FollowError::new)?;
            let found = epoch_of(stream.cached_info());
            if found != epoch {
                (epoch, last) = (found, 0);
                continue;
            }
            if epoch != self.epoch {
                self.ready.push_back(Followed::Renewed(epoch));
            }
            (self.epoch, self.last, self.delivered, self.pending) = (epoch, last, 0, pending);
            self.deliveries = Some(deliveries);
            return Ok(());
        }
    }

    async fn make_consumer(
        &self,
        start_sequence: u64,
    ) -> Result<(ReadyChunks<pull::Stream>, u64), FollowError> {
        let config = pull::Config {
            description: Some("Tidings: a gateway's reading".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            ack_policy: AckPolicy::None,
            filter_subjects: self.subjects.clone(),
            headers_only: self.content == Content::HeadersOnly,
            max_deliver: 1,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: INACTIVE,
            ..pull::Config::default()
        };
        let consumer: PullConsumer =
            self.context.create_consumer_on_stream(config, ENVELOPES).await.map_err(FollowError::new)?;
        let pending = consumer.cached_info().num_pending;
        let deliveries = consumer
            .stream()
            .expires(PULL_EXPIRY)
            .heartbeat(HEARTBEAT)
            .max_messages_per_batch(BATCH)
            .messages()
            .await
            .map_err(FollowError::new)?;
        Ok((deliveries.ready_chunks(BATCH), pending))
    }
}

/// `ENVELOPES` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("stream ENVELOPES cannot be read now")]
pub struct FollowError(#[source] async_nats::Error);

impl FollowError {
    fn new(source: impl Into<async_nats::Error>) -> Self {
        Self(source.into())
    }
}
