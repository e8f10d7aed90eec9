//! What an ordered reader reads, and the consumer that delivers it.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use futures_util::StreamExt as _;
use futures_util::stream::ReadyChunks;
use time::OffsetDateTime;

use super::leader_get;

/// How many messages are requested at a time, and returned at most.
const BATCH: usize = 512;
const HEARTBEAT: Duration = Duration::from_millis(500);
const PULL_EXPIRY: Duration = Duration::from_secs(5);
/// The server removes a consumer whose reader is gone.
const INACTIVE: Duration = Duration::from_secs(30);

/// How much of each message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The whole message.
    Whole,
    /// Everything but the body, which is enough for an index.
    HeadersOnly,
}

/// What to read.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// The name of the stream.
    stream: String,
    /// The subjects to read; all if empty.
    subjects: Vec<String>,
    content: Content,
    since: Option<OffsetDateTime>,
    newest: bool,
}

impl Selection {
    /// The messages on these subjects of a stream; on all of them, if there are none.
    pub(crate) fn new(stream: String, subjects: Vec<String>, content: Content) -> Self {
        Self { stream, subjects, content, since: None, newest: false }
    }

    /// Of what the stream has, only the newest message on each subject. It is read at one go: a consumer that goes on
    /// after a fault would deliver others, too, so that there is none.
    pub(crate) fn newest(self) -> Self {
        Self { newest: true, ..self }
    }

    /// Skips messages that were stored before this time, as long as nothing was read.
    pub(crate) fn since(self, since: Option<OffsetDateTime>) -> Self {
        Self { since, ..self }
    }

    fn config(&self, deliver_policy: DeliverPolicy) -> pull::Config {
        pull::Config {
            description: Some("Tidings: one ordered read".to_owned()),
            deliver_policy,
            ack_policy: AckPolicy::None,
            filter_subjects: self.subjects.clone(),
            headers_only: self.content == Content::HeadersOnly,
            max_deliver: 1,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: INACTIVE,
            ..pull::Config::default()
        }
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// Has a new consumer deliver what follows this sequence.
    pub(super) async fn deliver(
        &self,
        context: &Context,
        last: u64,
    ) -> Result<Deliveries, async_nats::Error> {
        let deliver_policy = match self.since {
            _ if self.newest && last > 0 => {
                return Err("the newest messages cannot be read on from here".into());
            }
            _ if self.newest => DeliverPolicy::LastPerSubject,
            Some(start_time) if last == 0 => DeliverPolicy::ByStartTime { start_time },
            _ => DeliverPolicy::ByStartSequence { start_sequence: last.saturating_add(1) },
        };
        let consumer: PullConsumer =
            context.create_consumer_on_stream(self.config(deliver_policy), self.stream.as_str()).await?;
        let pulls = consumer.stream().expires(PULL_EXPIRY).heartbeat(HEARTBEAT).max_messages_per_batch(BATCH);
        let messages = pulls.messages().await?.ready_chunks(BATCH);
        Ok(Deliveries { consumer, messages })
    }

    /// How many messages the stream has of it: what a consumer that reads them all would have before it.
    pub(crate) async fn count(&self, context: &Context) -> Result<u64, async_nats::Error> {
        let consumer: PullConsumer =
            context.create_consumer_on_stream(self.config(DeliverPolicy::All), self.stream.as_str()).await?;
        let info = consumer.cached_info();
        let (count, name) = (info.num_pending, info.name.clone());
        context.delete_consumer_from_stream(&name, &self.stream).await?;
        Ok(count)
    }

    /// Whether the stream's leader has nothing of it behind `last` and up to `reach`.
    pub(super) async fn is_read(
        &self,
        context: &Context,
        (last, reach): (u64, u64),
    ) -> Result<bool, async_nats::Error> {
        let mut next = last.saturating_add(1);
        if next > reach {
            return Ok(true);
        }
        if let Some(since) = self.since.filter(|_| last == 0) {
            match leader_get::first_since(context, &self.stream, since).await? {
                Some(first) => next = next.max(first),
                None => return Ok(true),
            }
        }
        let stream = context.get_stream(&self.stream).await?;
        let any = [">".to_owned()];
        for subject in if self.subjects.is_empty() { &any } else { self.subjects.as_slice() } {
            let left = leader_get::next(&stream, subject, next).await?;
            if left.is_some_and(|left| left.sequence <= reach) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A consumer and what it delivers.
pub(super) struct Deliveries {
    pub(super) consumer: PullConsumer,
    pub(super) messages: ReadyChunks<pull::Stream>,
}
