//! Watches the bucket `USERS`: first all of its entries, then each change.
//!
//! A short-lived consumer reads the bucket from its beginning and continues with new writes. It is recreated, and
//! everything is read again, whenever something may have been missed: the client has reconnected, a delivery or its
//! heartbeat is missing, or the consumer has delivered more than arrived here. Until all of it has been read again, the
//! earlier state stays valid.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use futures_util::StreamExt as _;
use tidings_model::Epoch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{UserName, UserState, parse};
use crate::nats::record::Reported;
use crate::nats::{Backoff, Bucket, epoch_of};

/// How many entries are requested at a time, and held at most.
const PAGE: usize = 512;
const HEARTBEAT: Duration = Duration::from_millis(500);
const PULL_EXPIRY: Duration = Duration::from_secs(5);
/// The server removes a consumer whose watch is gone.
const INACTIVE: Duration = Duration::from_secs(30);
/// How often the watch checks whether the client has reconnected.
const GLANCE: Duration = Duration::from_millis(250);
/// How often the server is asked how much it has delivered.
const INQUIRY: Duration = Duration::from_secs(5);

/// What a watch returns.
#[derive(Debug)]
pub enum UserNews {
    /// All users with a record in this epoch of the bucket; all others have none.
    All(Epoch, HashMap<UserName, KnownState>),
    /// The new record of one user.
    One(UserName, KnownState),
}

/// The record of a user; `None` if it cannot be read, in which case the user is to be refused.
pub type KnownState = Option<UserState>;

/// Reads the bucket and its changes.
#[derive(Debug)]
pub struct UserWatch {
    bucket: Bucket,
    reported: Arc<Reported<UserName>>,
    /// `None` after a fault, until everything is read again.
    reading: Option<Reading>,
    /// Whether it was logged that the bucket cannot be read; reset when it can be read again.
    is_said: bool,
    backoff: Backoff,
}

impl UserWatch {
    pub(super) fn new(bucket: Bucket, reported: Arc<Reported<UserName>>) -> Self {
        Self { bucket, reported, reading: None, is_said: false, backoff: Backoff::new() }
    }

    /// Returns what comes next; first of all, and after every fault, [`UserNews::All`]. Waits until faults of NATS have
    /// passed.
    pub async fn next(&mut self) -> UserNews {
        loop {
            self.backoff.wait().await;
            let step = async {
                match &mut self.reading {
                    Some(reading) => reading.next().await,
                    reading => {
                        reading.insert(Reading::open(&self.bucket, &self.reported).await?).next().await
                    }
                }
            };
            match step.await {
                Ok(news) => {
                    self.backoff.succeeded();
                    self.is_said = false;
                    return news;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_said, true) {
                        tracing::info!(%error, "reading all of the bucket USERS again, until that succeeds");
                    }
                    self.reading = None;
                    self.backoff.failed();
                }
            }
        }
    }
}

struct Reading {
    bucket: Bucket,
    reported: Arc<Reported<UserName>>,
    /// The epoch of the bucket.
    life: Epoch,
    consumer: PullConsumer,
    entries: pull::Stream,
    /// How many times the client had connected when this began.
    connects: u64,
    /// Deliveries so far, by which a lost one is detected.
    delivered: u64,
    /// Deliveries that the server reported when it was asked last.
    inquired: u64,
    /// The entries read so far; `None` once all of them have been returned.
    gathered: Option<HashMap<UserName, KnownState>>,
    glance: Interval,
    inquiry: Interval,
}

impl Reading {
    async fn open(bucket: &Bucket, reported: &Arc<Reported<UserName>>) -> Result<Self, async_nats::Error> {
        let connects = connects(bucket);
        let config = pull::Config {
            description: Some("Tidings: a gateway's watch over users".to_owned()),
            deliver_policy: DeliverPolicy::All,
            filter_subject: bucket.subject(">"),
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: INACTIVE,
            ..pull::Config::default()
        };
        let consumer: PullConsumer = bucket.stream.create_consumer(config).await?;
        // Read after the consumer was created: the consumer reads this bucket or none.
        let life = epoch_of(&bucket.stream.get_info().await?);
        let entries = consumer
            .stream()
            .expires(PULL_EXPIRY)
            .heartbeat(HEARTBEAT)
            .max_messages_per_batch(PAGE)
            .messages()
            .await?;
        Ok(Self {
            bucket: bucket.clone(),
            reported: Arc::clone(reported),
            life,
            consumer,
            entries,
            connects,
            delivered: 0,
            inquired: 0,
            gathered: Some(HashMap::new()),
            glance: every(GLANCE),
            inquiry: every(INQUIRY),
        })
    }

    async fn next(&mut self) -> Result<UserNews, async_nats::Error> {
        // The bucket is empty.
        if self.consumer.cached_info().num_pending == 0
            && let Some(all) = self.gathered.take()
        {
            return Ok(UserNews::All(self.life, all));
        }
        loop {
            let news = tokio::select! {
                entry = self.entries.next() => self.take(&entry.ok_or("the server ended the delivery")??)?,
                _ = self.glance.tick() => self.glance()?,
                _ = self.inquiry.tick() => self.inquire().await?,
            };
            if let Some(news) = news {
                return Ok(news);
            }
        }
    }

    fn take(&mut self, message: &Message) -> Result<Option<UserNews>, async_nats::Error> {
        let info = message.info()?;
        if info.consumer_sequence != self.delivered + 1 {
            return Err("a delivery was lost".into());
        }
        self.delivered = info.consumer_sequence;
        let key = self.bucket.key(&message.subject);
        let entry = UserName::from_key(key).map(|name| {
            let state = self.state(&name, message, info.stream_sequence);
            (name, state)
        });
        if entry.is_none() {
            tracing::warn!(key, "skipped an entry of the bucket USERS whose key is not a user");
        }
        let Some(gathered) = &mut self.gathered else {
            return Ok(entry.map(|(name, state)| UserNews::One(name, state)));
        };
        if let Some((name, state)) = entry {
            // If it was written several times during the read, the last record counts.
            if state.as_ref().is_some_and(UserState::is_empty) {
                gathered.remove(&name);
            } else {
                gathered.insert(name, state);
            }
        }
        Ok(if info.pending == 0 {
            self.gathered.take().map(|all| UserNews::All(self.life, all))
        } else {
            None
        })
    }

    fn state(&self, name: &UserName, message: &Message, revision: u64) -> KnownState {
        let read = parse(message.headers.as_ref(), &message.payload);
        read.inspect_err(|error| {
            if self.reported.is_new(name, revision) {
                let error = error as &dyn std::error::Error;
                tracing::error!(
                    user = %name, error,
                    "an entry of the bucket USERS cannot be read; the user is refused"
                );
            }
        })
        .ok()
    }

    /// Deliveries on a broken connection may have been lost with it.
    fn glance(&self) -> Result<Option<UserNews>, async_nats::Error> {
        if connects(&self.bucket) == self.connects {
            Ok(None)
        } else {
            Err("the connection to NATS was lost".into())
        }
    }

    /// Only this detects a lost delivery that no other one follows.
    async fn inquire(&mut self) -> Result<Option<UserNews>, async_nats::Error> {
        if self.delivered < self.inquired {
            return Err("a delivery was lost".into());
        }
        let info = self.consumer.get_info().await?;
        self.inquired = info.delivered.consumer_sequence;
        // The last of the pending entries may have been removed before it was read.
        let is_over = info.num_pending == 0 && self.inquired == self.delivered;
        Ok(if is_over { self.gathered.take().map(|all| UserNews::All(self.life, all)) } else { None })
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reading").field("delivered", &self.delivered).finish_non_exhaustive()
    }
}

fn connects(bucket: &Bucket) -> u64 {
    bucket.context.client().statistics().connects.load(Ordering::Relaxed)
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval.reset();
    interval
}
