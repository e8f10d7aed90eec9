//! A gateway's reading of `ENVELOPES`: one ordered read for all of its clients.
//!
//! A plain ephemeral pull consumer without acknowledgements, made anew at the next sequence after
//! every fault, so nothing is skipped or repeated whatever happens to the consumer. The client
//! library's own ordered consumer does the same, but was measured to resume 15 s after a server's
//! restart; with the heartbeat here it is about one second.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use futures_util::StreamExt as _;
use futures_util::stream::ReadyChunks;
use tidings_model::Epoch;

use crate::convert::StoredEnvelope;
use crate::retry::Backoff;
use crate::topology::{ENVELOPES, Topology, epoch_of};

/// How many messages are asked for at a time, and handed out at most.
const BATCH: usize = 512;
const HEARTBEAT: Duration = Duration::from_millis(500);
const PULL_EXPIRY: Duration = Duration::from_secs(5);
/// The server forgets a consumer whose gateway is gone.
const INACTIVE: Duration = Duration::from_secs(30);

/// Reads the envelopes from a sequence on.
pub struct EnvelopeFollower {
    context: Context,
    epoch: Epoch,
    /// The stream sequence before the next envelope.
    last: u64,
    /// The consumer's own count, in which a lost delivery shows.
    delivered: u64,
    deliveries: Option<ReadyChunks<pull::Stream>>,
    backoff: Backoff,
}

/// What the follower hands out.
#[derive(Debug)]
pub enum Followed {
    /// The next envelopes, in order.
    Envelopes(Vec<StoredEnvelope>),
    /// The stream was made anew: no earlier sequence means anything any more, and what follows
    /// begins at the new stream's first envelope.
    Renewed(Epoch),
}

impl EnvelopeFollower {
    /// Reads what comes after the stream's end as it is now.
    pub async fn from_now(topology: &Topology) -> Result<Self, FollowError> {
        let info = topology.envelopes.get_info().await.map_err(FollowError::new)?;
        let mut follower = Self {
            context: topology.context.clone(),
            epoch: epoch_of(&info),
            last: info.state.last_sequence,
            delivered: 0,
            deliveries: None,
            backoff: Backoff::new(),
        };
        follower.deliveries = Some(follower.try_open().await?);
        Ok(follower)
    }

    /// The life of the stream that is being read.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The sequence up to which everything was handed out.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// What comes next. Waits out every fault of NATS. May be dropped while it waits without
    /// losing anything.
    pub async fn next(&mut self) -> Followed {
        loop {
            if let Some(followed) = self.try_next().await {
                return followed;
            }
        }
    }

    async fn try_next(&mut self) -> Option<Followed> {
        if self.deliveries.is_none() {
            match self.reopen().await {
                Ok(None) => {}
                Ok(Some(renewed)) => return Some(Followed::Renewed(renewed)),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "trying again");
                    self.backoff.pause().await;
                    return None;
                }
            }
        }
        let Some(chunk) = self.deliveries.as_mut()?.next().await else {
            self.close("the delivery ended");
            return None;
        };
        let mut envelopes = Vec::with_capacity(chunk.len());
        for delivery in chunk {
            match delivery {
                Ok(message) => {
                    if !self.take(&message, &mut envelopes) {
                        break;
                    }
                }
                Err(error) => {
                    self.close(&error.to_string());
                    self.backoff.pause().await;
                    break;
                }
            }
        }
        (!envelopes.is_empty()).then_some(Followed::Envelopes(envelopes))
    }

    /// Takes a delivery, unless one before it got lost.
    fn take(
        &mut self,
        message: &async_nats::jetstream::Message,
        envelopes: &mut Vec<StoredEnvelope>,
    ) -> bool {
        let Ok(info) = message.info() else {
            self.close("a delivery has no position");
            return false;
        };
        if info.consumer_sequence != self.delivered + 1 {
            self.close("a delivery got lost");
            return false;
        }
        self.backoff.succeeded();
        (self.delivered, self.last) = (info.consumer_sequence, info.stream_sequence);
        if let Some(envelope) = StoredEnvelope::from_message(message, info.stream_sequence) {
            envelopes.push(envelope);
        } else {
            let (subject, sequence) = (&message.subject, info.stream_sequence);
            tracing::warn!(%subject, sequence, "passing over a message in ENVELOPES that no projector wrote");
        }
        true
    }

    fn close(&mut self, reason: &str) {
        tracing::debug!(reason, after = self.last, "making the consumer of ENVELOPES anew");
        self.deliveries = None;
    }

    async fn reopen(&mut self) -> Result<Option<Epoch>, FollowError> {
        let stream = self.context.get_stream(ENVELOPES).await.map_err(FollowError::new)?;
        let epoch = epoch_of(stream.cached_info());
        let renewed = epoch != self.epoch;
        if renewed {
            (self.epoch, self.last) = (epoch, 0);
        }
        self.deliveries = Some(self.try_open().await?);
        Ok(renewed.then_some(epoch))
    }

    async fn try_open(&mut self) -> Result<ReadyChunks<pull::Stream>, FollowError> {
        let config = pull::Config {
            description: Some("Tidings: a gateway's reading".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.last + 1 },
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: INACTIVE,
            ..pull::Config::default()
        };
        let consumer: PullConsumer =
            self.context.create_consumer_on_stream(config, ENVELOPES).await.map_err(FollowError::new)?;
        self.delivered = 0;
        let deliveries = consumer
            .stream()
            .expires(PULL_EXPIRY)
            .heartbeat(HEARTBEAT)
            .max_messages_per_batch(BATCH)
            .messages()
            .await
            .map_err(FollowError::new)?;
        Ok(deliveries.ready_chunks(BATCH))
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
