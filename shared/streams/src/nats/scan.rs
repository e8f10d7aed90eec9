//! Reads the messages of some subjects of a stream once, one page at a time.
//!
//! A short-lived JetStream consumer reads the messages in the order in which they were written. A message that replaces
//! another during the scan moves to the end and is read there, so the scan ends at the current end of the stream, not
//! at the end at its start. A scan whose completeness cannot be proved ends with an error.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt as _;

use super::Content;

/// How many messages are requested at a time, and held at most.
const PAGE: usize = 512;
/// The server removes the consumer of an abandoned scan.
const INACTIVE: Duration = Duration::from_secs(60);
/// The last messages may be removed before they are read; after this time without one, the server is asked whether any
/// are left.
const SILENCE: Duration = Duration::from_millis(500);
const MOST_SILENCES: u32 = 10;

/// A scan of a stream.
pub(crate) struct Scan {
    stream: Arc<Stream>,
    subject: String,
    content: Content,
    progress: Progress,
}

enum Progress {
    Before,
    Reading(Box<Reading>),
    Over,
}

struct Reading {
    consumer: PullConsumer,
    messages: pull::Stream,
    /// Deliveries so far, by which a lost one is detected.
    delivered: u64,
}

impl Scan {
    /// Scans the messages of this subject, which may have wildcards.
    pub(crate) fn new(stream: Arc<Stream>, subject: String, content: Content) -> Self {
        Self { stream, subject, content, progress: Progress::Before }
    }

    /// Returns the next message and its sequence, or `None` after the last. After an error the scan is over.
    pub(crate) async fn next(&mut self) -> Result<Option<(Message, u64)>, async_nats::Error> {
        let read = self.read().await;
        if read.is_err() {
            self.progress = Progress::Over;
        }
        read
    }

    async fn read(&mut self) -> Result<Option<(Message, u64)>, async_nats::Error> {
        if matches!(self.progress, Progress::Before) {
            self.progress = self.open().await?;
        }
        let Progress::Reading(reading) = &mut self.progress else { return Ok(None) };
        let read = reading.next().await?;
        if read.as_ref().is_none_or(|read| read.last) {
            self.close().await;
        }
        Ok(read.map(|read| (read.message, read.sequence)))
    }

    async fn open(&self) -> Result<Progress, async_nats::Error> {
        let config = pull::Config {
            description: Some("Tidings: a listing".to_owned()),
            deliver_policy: DeliverPolicy::All,
            filter_subject: self.subject.clone(),
            ack_policy: AckPolicy::None,
            headers_only: self.content == Content::HeadersOnly,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: INACTIVE,
            ..pull::Config::default()
        };
        let consumer: PullConsumer = self.stream.create_consumer(config).await?;
        if consumer.cached_info().num_pending == 0 {
            self.forget(&consumer).await;
            return Ok(Progress::Over);
        }
        let messages = consumer.stream().max_messages_per_batch(PAGE).messages().await?;
        Ok(Progress::Reading(Box::new(Reading { consumer, messages, delivered: 0 })))
    }

    async fn close(&mut self) {
        if let Progress::Reading(reading) = std::mem::replace(&mut self.progress, Progress::Over) {
            drop(reading.messages);
            self.forget(&reading.consumer).await;
        }
    }

    /// Deletes the consumer. If this fails, the server removes it after a while.
    async fn forget(&self, consumer: &PullConsumer) {
        if let Err(error) = self.stream.delete_consumer(&consumer.cached_info().name).await {
            tracing::debug!(%error, "could not remove the consumer of a listing");
        }
    }
}

struct Read {
    message: Message,
    sequence: u64,
    /// Whether it is the last message.
    last: bool,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Read>, async_nats::Error> {
        for _ in 0..MOST_SILENCES {
            match tokio::time::timeout(SILENCE, self.messages.next()).await {
                Ok(Some(message)) => return self.read(message?).map(Some),
                Ok(None) => return Err("the server ended the delivery".into()),
                Err(_silence) if self.is_over().await? => return Ok(None),
                Err(_silence) => {}
            }
        }
        Err("the server sent no messages although some are left".into())
    }

    fn read(&mut self, message: Message) -> Result<Read, async_nats::Error> {
        let info = message.info()?;
        if info.consumer_sequence != self.delivered + 1 {
            return Err("a delivery was lost".into());
        }
        self.delivered = info.consumer_sequence;
        let (sequence, last) = (info.stream_sequence, info.pending == 0);
        Ok(Read { message, sequence, last })
    }

    async fn is_over(&self) -> Result<bool, async_nats::Error> {
        let info = self.consumer.get_info().await?;
        Ok(info.num_pending == 0 && info.delivered.consumer_sequence == self.delivered)
    }
}
