//! A key-value bucket (NATS ADR-8) that is written by compare-and-set, optionally with a time to live.
//!
//! The client's own `update` drops a key's time to live, so every write is a plain publication with both `Nats-TTL`
//! (NATS ADR-43) and the expected sequence of the key.

use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_TTL};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{
    Config, DirectGetError, DirectGetErrorKind, DiscardPolicy, RawMessageError, RetentionPolicy, StorageType,
    Stream,
};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::connect::REQUEST_TIMEOUT;
use super::{Content, Scan, ensure, leader_get};
use super::{Missing, TopologyError};

/// The default of JetStream.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The prefix of the names of buckets' streams (NATS ADR-8).
const STREAM_PREFIX: &str = "KV_";

/// Marks an entry as removed (NATS ADR-8).
const OPERATION: &str = "KV-Operation";
/// Marks an entry as removed by the server (NATS ADR-43).
const MARKER_REASON: &str = "Nats-Marker-Reason";

/// How a bucket is stored.
#[derive(Debug, Clone, Copy)]
pub struct BucketSettings {
    /// The number of replicas in a cluster.
    pub replicas: usize,
    /// Whether it is in memory instead of on disk.
    pub in_memory: bool,
}

/// The name of a bucket, and its description.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Purpose {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
}

impl Purpose {
    /// The prefix of the subjects of its entries.
    fn prefix(self) -> String {
        format!("$KV.{}.", self.name)
    }

    /// The configuration of the stream of the bucket, which keeps the newest value of each key.
    pub(crate) fn config(self, settings: BucketSettings) -> Config {
        Config {
            name: format!("{STREAM_PREFIX}{}", self.name),
            description: Some(self.description.to_owned()),
            subjects: vec![format!("{}>", self.prefix())],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            max_messages_per_subject: 1,
            max_messages: -1,
            max_bytes: -1,
            max_message_size: -1,
            max_consumers: -1,
            storage: if settings.in_memory { StorageType::Memory } else { StorageType::File },
            num_replicas: settings.replicas,
            duplicate_window: DUPLICATE_WINDOW,
            allow_direct: true,
            allow_rollup: true,
            ..Config::default()
        }
    }
}

/// A bucket that exists and was checked.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    context: Context,
    pub(crate) stream: Arc<Stream>,
    /// The expected configuration.
    config: Arc<Config>,
    /// Whether it has more than one replica, as far as is known.
    is_replicated: Arc<AtomicBool>,
    prefix: String,
    /// `Nats-TTL` of every entry, in seconds; `None` keeps entries forever.
    time_to_live: Option<u64>,
}

impl Bucket {
    /// Creates the bucket if it is missing, checks it if it exists. The server counts a time to live in whole seconds,
    /// with a minimum of one.
    pub(crate) async fn open(
        context: &Context,
        purpose: Purpose,
        time_to_live: Option<Duration>,
        settings: BucketSettings,
        missing: Missing,
    ) -> Result<Self, TopologyError> {
        // A write is not answered either if its stream has no leader or disappears meanwhile, and others may wait for it.
        let mut context = context.clone();
        context.set_timeout(REQUEST_TIMEOUT);
        let prefix = purpose.prefix();
        let wanted = Config { allow_message_ttl: true, ..purpose.config(settings) };
        let stream = ensure::open(&context, wanted.clone(), missing).await?;
        let time_to_live = time_to_live.map(|time| time.as_secs().max(1));
        let is_replicated = Arc::new(AtomicBool::new(stream.cached_info().config.num_replicas > 1));
        Ok(Self {
            context,
            stream: stream.into(),
            config: Arc::new(wanted),
            is_replicated,
            prefix,
            time_to_live,
        })
    }

    /// Recreates the bucket if it has disappeared. Returns whether it had.
    pub(crate) async fn restore(&self) -> Result<bool, TopologyError> {
        let restored = ensure::restore(&self.context, &self.config).await?;
        self.is_replicated.store(restored.replicas > 1, Ordering::Relaxed);
        Ok(restored.was_lost)
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// The name of the bucket.
    pub(super) fn name(&self) -> &str {
        self.config.name.strip_prefix(STREAM_PREFIX).unwrap_or(&self.config.name)
    }

    /// The name of its stream.
    pub(super) fn stream_name(&self) -> &str {
        &self.config.name
    }

    /// The last message of the key, from the stream's leader: an entry or a removal marker.
    pub(crate) async fn last(&self, key: &str) -> Result<Option<StreamMessage>, RawMessageError> {
        leader_get::last(&self.stream, &self.subject(key)).await
    }

    /// Scans the entries with these keys, which may have wildcards.
    pub(crate) fn scan(&self, keys: &str) -> Scan {
        Scan::new(self.context.clone(), self.stream_name(), self.subject(keys), Content::Whole)
    }

    /// The same as [`Self::last`]. Where the leader is the only replica, a direct get asks it for a third of what a request
    /// for a message costs the server.
    pub(crate) async fn newest(&self, key: &str) -> Result<Option<StreamMessage>, RawMessageError> {
        if !self.is_replicated.load(Ordering::Relaxed) {
            match self.stream.direct_get_last_for_subject(self.subject(key)).await {
                Ok(message) => return Ok(Some(message)),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(None),
                // Not permitted, or not answered: the other request tells.
                Err(_) => {}
            }
        }
        self.last(key).await
    }

    /// The last message of the key as one of the replicas has it, which may be behind: of use where a decision does not
    /// depend on it.
    pub(crate) async fn hint(&self, key: &str) -> Result<Option<StreamMessage>, DirectGetError> {
        match self.stream.direct_get_last_for_subject(self.subject(key)).await {
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// Whether one of these keys, which may have wildcards, is likely to have an entry, but for `except`. Only a server that
    /// does not answer, or knows of another entry, leaves that open.
    pub(crate) async fn may_have_others(&self, keys: &str, except: &str) -> bool {
        match self.stream.direct_get_first_for_subject(self.subject(keys)).await {
            Ok(message) => self.key(&message.subject) != except,
            Err(error) => error.kind() != DirectGetErrorKind::NotFound,
        }
    }

    /// The subject of the key in the stream; wildcards stay wildcards.
    pub(crate) fn subject(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The key of this subject.
    pub(crate) fn key<'s>(&self, subject: &'s str) -> &'s str {
        subject.strip_prefix(&self.prefix).unwrap_or(subject)
    }

    /// Writes the key if its last sequence is `expected`, where 0 means that there is no entry. Returns the sequence of
    /// the new entry, or `None` if another writer came first.
    pub(crate) async fn write(
        &self,
        key: &str,
        value: Bytes,
        expected: u64,
    ) -> Result<Option<u64>, PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(expected));
        if let Some(seconds) = self.time_to_live {
            headers.insert(NATS_MESSAGE_TTL, HeaderValue::from(seconds));
        }
        let sent = self.context.publish_with_headers(self.subject(key), headers, value).await?;
        match sent.await {
            Ok(acknowledged) => Ok(Some(acknowledged.sequence)),
            Err(error) if was_beaten(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether an entry is a removal marker, as `nats kv del` leaves it.
pub(crate) fn is_removal(headers: Option<&HeaderMap>) -> bool {
    headers.is_some_and(|headers| headers.get(OPERATION).or_else(|| headers.get(MARKER_REASON)).is_some())
}

/// Whether the key, or the subject, has another sequence or, in a cluster, is just being assigned one.
pub(crate) fn was_beaten(error: &PublishError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    error.kind() == PublishErrorKind::WrongLastSequence
        || source.is_some_and(|error| error.error_code() == ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
}
