//! Reading many entries of the bucket in one pass, a page at a time.
//!
//! A short-lived JetStream consumer reads the entries in the order in which they were written. An
//! entry that is written meanwhile moves to the end and is read there, so the pass is over when
//! the end is reached, not when it comes to where the end was at first. A pass that cannot be
//! shown to be complete ends with an error.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use futures_util::{StreamExt as _, stream};
use serde::de::Error as _;

use super::super::bucket::Bucket;
use super::super::{ConsumerList, ConsumerName, ConsumerStoreError, StoredConsumer};
use super::parse;

/// How many entries are asked for at a time, and held at most.
const PAGE: usize = 512;
/// The server forgets a listing that nobody reads on.
const INACTIVE: Duration = Duration::from_secs(60);
/// The last entries may be removed before they are read; after a silence it is asked whether any are left.
const SILENCE: Duration = Duration::from_millis(500);
const MOST_SILENCES: u32 = 10;

type Item = Result<(ConsumerName, StoredConsumer), ConsumerStoreError>;

/// The consumers under these keys, which may have wildcards.
pub(super) fn list(bucket: Bucket, keys: String) -> ConsumerList {
    let listing = Listing { bucket, keys, progress: Progress::Before };
    let items = stream::unfold(listing, |mut listing| async move {
        let item = listing.next().await?;
        Some((item, listing))
    });
    items.boxed()
}

struct Listing {
    bucket: Bucket,
    keys: String,
    progress: Progress,
}

enum Progress {
    Before,
    Reading(Box<Reading>),
    Over,
}

struct Reading {
    consumer: PullConsumer,
    entries: pull::Stream,
    /// Deliveries so far, in which a lost one shows.
    delivered: u64,
}

impl Listing {
    async fn next(&mut self) -> Option<Item> {
        loop {
            let entry = match self.next_entry().await {
                Ok(entry) => entry?,
                Err(source) => {
                    self.progress = Progress::Over;
                    let action = format!("list the consumers {}", self.keys);
                    return Some(Err(ConsumerStoreError::Unavailable { action, source }));
                }
            };
            let (message, revision) = entry;
            if let Some(item) = self.item(&message, revision) {
                return Some(item);
            }
        }
    }

    /// The next entry and its sequence, or `None` after the last.
    async fn next_entry(&mut self) -> Result<Option<(Message, u64)>, async_nats::Error> {
        if matches!(self.progress, Progress::Before) {
            self.progress = self.open().await?;
        }
        let Progress::Reading(reading) = &mut self.progress else { return Ok(None) };
        let entry = reading.next().await?;
        if entry.as_ref().is_none_or(|entry| entry.last) {
            self.close().await;
        }
        Ok(entry.map(|entry| (entry.message, entry.revision)))
    }

    /// `None` for an entry that says that there is no consumer.
    fn item(&self, message: &Message, revision: u64) -> Option<Item> {
        let key = self.bucket.key(&message.subject);
        let state = match parse(key, message.headers.as_ref(), &message.payload) {
            Ok(state) => state?,
            Err(error) => return Some(Err(error)),
        };
        let Some(name) = ConsumerName::from_key(key) else {
            let source = serde_json::Error::custom("its key names no consumer");
            return Some(Err(ConsumerStoreError::Damaged { key: key.to_owned(), source }));
        };
        Some(Ok((name, StoredConsumer { state, pending: None, revision })))
    }

    async fn open(&self) -> Result<Progress, async_nats::Error> {
        let config = pull::Config {
            description: Some("Tidings: a listing of consumers".to_owned()),
            deliver_policy: DeliverPolicy::All,
            filter_subject: self.bucket.subject(&self.keys),
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: INACTIVE,
            ..pull::Config::default()
        };
        let consumer: PullConsumer = self.bucket.stream.create_consumer(config).await?;
        if consumer.cached_info().num_pending == 0 {
            self.forget(&consumer).await;
            return Ok(Progress::Over);
        }
        let entries = consumer.stream().max_messages_per_batch(PAGE).messages().await?;
        Ok(Progress::Reading(Box::new(Reading { consumer, entries, delivered: 0 })))
    }

    async fn close(&mut self) {
        if let Progress::Reading(reading) = std::mem::replace(&mut self.progress, Progress::Over) {
            drop(reading.entries);
            self.forget(&reading.consumer).await;
        }
    }

    /// Spares the server the consumer; where this fails, it forgets it by itself.
    async fn forget(&self, consumer: &PullConsumer) {
        if let Err(error) = self.bucket.stream.delete_consumer(&consumer.cached_info().name).await {
            tracing::debug!(%error, "could not remove the consumer of a listing");
        }
    }
}

struct Entry {
    message: Message,
    revision: u64,
    /// Nothing is left behind it.
    last: bool,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Entry>, async_nats::Error> {
        for _ in 0..MOST_SILENCES {
            match tokio::time::timeout(SILENCE, self.entries.next()).await {
                Ok(Some(message)) => return self.entry(message?).map(Some),
                Ok(None) => return Err("the server ended the reading".into()),
                Err(_silence) if self.is_over().await? => return Ok(None),
                Err(_silence) => {}
            }
        }
        Err("the server sends no entries although some are left".into())
    }

    fn entry(&mut self, message: Message) -> Result<Entry, async_nats::Error> {
        let info = message.info()?;
        if info.consumer_sequence != self.delivered + 1 {
            return Err("an entry got lost on its way".into());
        }
        self.delivered = info.consumer_sequence;
        let (revision, last) = (info.stream_sequence, info.pending == 0);
        Ok(Entry { message, revision, last })
    }

    async fn is_over(&self) -> Result<bool, async_nats::Error> {
        let info = self.consumer.get_info().await?;
        Ok(info.num_pending == 0 && info.delivered.consumer_sequence == self.delivered)
    }
}
