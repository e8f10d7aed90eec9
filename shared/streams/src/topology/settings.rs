//! The configured settings of the streams.

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use tidings_model::{EnvelopeSubject, ScheduleSubject, ShardNumber};

use super::scheduled::with_scheduled;
use super::subjects::{any_place, any_purge};
use super::{ENVELOPES, EVENTS, REJECTED, SCHEDULED, deduplication};
use crate::nats::BucketSettings;

/// The default prefix of the JetStream API, for accounts that do not map it.
const API_PREFIX: &str = "$JS.API";
/// The default of JetStream.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// Where the streams are, how large they may grow, and how they are replicated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The prefix of the JetStream API, as this process's account sees it.
    pub api_prefix: String,
    /// The number of replicas of each stream in a cluster.
    pub replicas: usize,
    /// Whether the streams are in memory instead of on disk.
    pub in_memory: bool,
    /// How long events are kept.
    pub events_max_age: Duration,
    /// How long envelopes are kept.
    pub envelopes_max_age: Duration,
    /// How long rejected events are kept.
    pub rejected_max_age: Duration,
    /// The maximum size of `EVENTS` in bytes; `None` leaves it to the server.
    pub events_max_bytes: Option<u64>,
    /// The maximum size of `ENVELOPES` in bytes.
    pub envelopes_max_bytes: Option<u64>,
    /// The maximum size of `REJECTED` in bytes.
    pub rejected_max_bytes: Option<u64>,
    /// Within this time an event with the same source and id is a duplicate.
    pub duplicate_window: Duration,
}

impl Settings {
    /// One replica of each stream, on disk, with this maximum age for all and without a maximum size.
    #[must_use]
    pub fn on_one_server(max_age: Duration, duplicate_window: Duration) -> Self {
        Self {
            api_prefix: API_PREFIX.to_owned(),
            replicas: 1,
            in_memory: false,
            events_max_age: max_age,
            envelopes_max_age: max_age,
            rejected_max_age: max_age,
            events_max_bytes: None,
            envelopes_max_bytes: None,
            rejected_max_bytes: None,
            duplicate_window,
        }
    }
}

impl Settings {
    /// The JetStream context.
    #[must_use]
    pub fn context(&self, client: &Client) -> Context {
        jetstream::with_prefix(client.clone(), &self.api_prefix)
    }

    /// How buckets are stored.
    pub(crate) fn bucket(&self) -> BucketSettings {
        BucketSettings { replicas: self.replicas, in_memory: self.in_memory }
    }

    /// The configuration of `EVENTS` for this server. Its deduplication is disabled, because the server would regard
    /// ids across tenants and sources; the projector detects duplicates.
    pub(crate) fn events(&self, client: &Client) -> Config {
        let (duplicate_window, sources) = deduplication::off(client);
        Config {
            description: Some("Tidings: what happened, as producers say it".to_owned()),
            // A full stream refuses new events, so that the producer gets an error.
            discard: DiscardPolicy::New,
            duplicate_window: duplicate_window.min(self.events_max_age),
            sources: with_scheduled(client, sources),
            allow_batch_publish: true,
            ..self.stream(
                EVENTS.to_owned(),
                ["events.>".to_owned()],
                self.events_max_age,
                self.events_max_bytes,
            )
        }
    }

    pub(crate) fn envelopes(&self, shard: ShardNumber) -> Config {
        let subjects = [EnvelopeSubject::all(shard), any_purge(shard), any_place(shard)];
        let (name, max_bytes) = (shard.name(ENVELOPES), self.envelopes_max_bytes);
        Config {
            description: Some("Tidings: messages for clients".to_owned()),
            discard: DiscardPolicy::Old,
            allow_rollup: true,
            allow_message_ttl: true,
            allow_batch_publish: true,
            ..self.stream(name, subjects, self.envelopes_max_age, max_bytes)
        }
    }

    pub(crate) fn rejected(&self) -> Config {
        let (max_age, max_bytes) = (self.rejected_max_age, self.rejected_max_bytes);
        Config {
            description: Some("Tidings: events that could not be projected".to_owned()),
            discard: DiscardPolicy::Old,
            // One subject per event: a second rejection replaces the first.
            max_messages_per_subject: 1,
            ..self.stream(REJECTED.to_owned(), ["rejected.>".to_owned()], max_age, max_bytes)
        }
    }

    /// The configuration of `SCHEDULED`.
    pub(crate) fn scheduled(&self) -> Config {
        self.scheduling(SCHEDULED, "Tidings: events that are delivered later", ScheduleSubject::ALL)
    }

    /// The configuration of a stream of scheduled messages: every limit would remove those that still wait.
    pub(crate) fn scheduling(&self, name: &str, description: &str, subjects: &str) -> Config {
        Config {
            description: Some(description.to_owned()),
            discard: DiscardPolicy::Old,
            allow_rollup: true,
            allow_message_ttl: true,
            allow_message_schedules: true,
            duplicate_window: DUPLICATE_WINDOW,
            ..self.stream(name.to_owned(), [subjects.to_owned()], Duration::ZERO, None)
        }
    }

    fn stream(
        &self,
        name: String,
        subjects: impl Into<Vec<String>>,
        max_age: Duration,
        max_bytes: Option<u64>,
    ) -> Config {
        Config {
            name,
            subjects: subjects.into(),
            retention: RetentionPolicy::Limits,
            max_age,
            max_bytes: max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            max_messages: -1,
            max_messages_per_subject: -1,
            max_message_size: -1,
            max_consumers: -1,
            storage: if self.in_memory { StorageType::Memory } else { StorageType::File },
            num_replicas: self.replicas,
            duplicate_window: self.duplicate_window.min(max_age),
            allow_direct: true,
            ..Config::default()
        }
    }
}
