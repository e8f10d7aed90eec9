//! The streams: created if they are missing, checked if they are there, and not altered, but for the deduplication of
//! `EVENTS` ([`deduplication`]).
//!
//! Only a projector creates them, and whoever administers; a gateway waits until they are there ([`Topology::find`]).
//!
//! `EVENTS` and `REJECTED` are there once, `ENVELOPES` once for each shard that tenants are spread over.
//!
//! Settings on which correctness rests (subjects, rollup, direct access, message TTL) must be as
//! wanted, or the process does not start. Limits (age, size, replicas) belong to the operator: a
//! difference there is reported and respected.

use std::sync::Arc;

use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{Config, Info, InfoError, Stream};
use async_nats::jetstream::{Context, ErrorCode, context};
use tidings_model::{Epoch, Position, PositionError, ShardNumber};

use crate::lives::KnownLives;
use crate::placements::Placements;

pub(crate) mod consumer;
mod deduplication;
mod error;
mod server;
mod settings;

pub use error::{Difference, TopologyError};
pub use settings::Settings;

use error::{Differences, differences};

/// What producers publish.
pub const EVENTS: &str = "EVENTS";
/// What clients receive; of the first shard. The others' names end in `_` and their number.
pub const ENVELOPES: &str = "ENVELOPES";
/// What could not be projected.
pub const REJECTED: &str = "REJECTED";

/// The streams, there and checked, as one shard has them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Topology {
    /// The way to NATS.
    pub(crate) context: Context,
    settings: Arc<Settings>,
    shard: ShardNumber,
    /// What producers publish.
    pub(crate) events: Arc<Stream>,
    /// What clients receive, in this shard.
    pub(crate) envelopes: Arc<Stream>,
    /// What could not be projected.
    pub(crate) rejected: Arc<Stream>,
    placements: Placements,
    pub(crate) lives: KnownLives,
    missing: Missing,
}

/// What becomes of a stream that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is created.
    Created,
    /// It is waited for: [`TopologyError::Missing`].
    Awaited,
}

impl Topology {
    /// Creates what is missing, checks what is there. The envelopes are those of the first shard.
    pub async fn ensure(client: &async_nats::Client, settings: &Settings) -> Result<Self, TopologyError> {
        Self::open(client, settings, Missing::Created).await
    }

    /// Checks what is there; [`TopologyError::Missing`] if something is not.
    pub async fn find(client: &async_nats::Client, settings: &Settings) -> Result<Self, TopologyError> {
        Self::open(client, settings, Missing::Awaited).await
    }

    async fn open(
        client: &async_nats::Client,
        settings: &Settings,
        missing: Missing,
    ) -> Result<Self, TopologyError> {
        server::check(client)?;
        let (context, shard) = (settings.context(client), ShardNumber::default());
        // What is there and will not do is reported before what is missing and may come.
        let mut first = None;
        let events = present(open(&context, settings.events(client), missing).await, &mut first)?;
        let envelopes = present(open(&context, settings.envelopes(shard), missing).await, &mut first)?;
        let rejected = present(open(&context, settings.rejected(), missing).await, &mut first)?;
        let placements = present(Placements::open(&context, settings, missing).await, &mut first)?;
        let (Some(events), Some(envelopes), Some(rejected), Some(placements)) =
            (events, envelopes, rejected, placements)
        else {
            return Err(TopologyError::Missing { stream: first.unwrap_or_default() });
        };
        Ok(Self {
            events: events.into(),
            envelopes: envelopes.into(),
            rejected: rejected.into(),
            placements,
            lives: KnownLives::default(),
            settings: Arc::new(settings.clone()),
            shard,
            context,
            missing,
        })
    }

    /// Creates again what has gone since. What was in a stream that is gone cannot be lost any more; whoever reads it
    /// finds another epoch, and says so to clients.
    pub async fn restore(&self) -> Result<(), TopologyError> {
        let settings = &self.settings;
        let events = settings.events(&self.context.client());
        for wanted in [events, settings.envelopes(self.shard), settings.rejected()] {
            restore(&self.context, &wanted).await?;
        }
        self.placements.restore_bucket().await
    }

    /// The same with the envelopes of another shard, whose stream is created or waited for as the others are.
    pub async fn on(&self, shard: ShardNumber) -> Result<Self, TopologyError> {
        if shard == self.shard {
            return Ok(self.clone());
        }
        let envelopes = open(&self.context, self.settings.envelopes(shard), self.missing).await?.into();
        Ok(Self { shard, envelopes, ..self.clone() })
    }

    /// The shard whose envelopes these are.
    #[must_use]
    pub fn shard(&self) -> ShardNumber {
        self.shard
    }

    /// Where tenants' envelopes are.
    #[must_use]
    pub fn placements(&self) -> &Placements {
        &self.placements
    }

    /// How the streams are to be kept.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The largest message, headers included, that NATS takes and `ENVELOPES` stores, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        let server = self.context.client().max_payload();
        // The stream knows no limit if its own is -1.
        let stream = usize::try_from(self.envelopes.cached_info().config.max_message_size);
        stream.map_or(server, |stream| stream.min(server))
    }

    /// Whether there is a connection to NATS now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.context.client().connection_state() == async_nats::connection::State::Connected
    }

    /// The way to JetStream, such as this process's account has it.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The client that the streams are reached through.
    #[must_use]
    pub fn client(&self) -> async_nats::Client {
        self.context.client()
    }
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Which life of the stream this is.
    pub epoch: Epoch,
    /// The sequence before the first that is retained.
    pub floor: u64,
    /// The last sequence that was given to anything.
    pub last: u64,
    /// How many messages there are.
    pub messages: u64,
    /// What they take in the stream, in bytes.
    pub bytes: u64,
}

impl Extent {
    /// The position that an operator means by `new` (what comes from now on), `all` (what is
    /// retained), a sequence, or a whole position; none behind the stream's end.
    pub fn position(&self, text: &str) -> Result<Position, WantedPositionError> {
        let at = |sequence| Position { epoch: self.epoch, sequence };
        let wanted = match text {
            "new" => return Ok(at(self.last)),
            "all" => return Ok(at(self.floor)),
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => {
                at(text.parse().unwrap_or(u64::MAX))
            }
            _ => text.parse()?,
        };
        if wanted.epoch == self.epoch && wanted.sequence > self.last {
            return Err(WantedPositionError::PastEnd { text: text.to_owned(), end: at(self.last) });
        }
        Ok(wanted)
    }
}

/// A text names no position that a consumer can go on from.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WantedPositionError {
    /// It is none.
    #[error("{0}; `new`, `all` or a sequence is possible, too")]
    Position(#[from] PositionError),
    /// Nothing was stored there yet.
    #[error("{text} lies behind the stream's end, which is {end}; `new` goes on with what comes from now on")]
    PastEnd {
        /// What was given.
        text: String,
        /// The last position that there is.
        end: Position,
    },
}

/// The stream's state cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the state of stream ENVELOPES cannot be read now")]
pub struct ExtentError(#[source] pub(crate) InfoError);

/// A stream made anew has another creation time; microseconds keep the number short.
pub(crate) fn epoch_of(info: &Info) -> Epoch {
    Epoch(u64::try_from(info.created.unix_timestamp_nanos() / 1_000).unwrap_or_default())
}

/// Notes the first stream that is missing.
fn present<T>(
    opened: Result<T, TopologyError>,
    first: &mut Option<String>,
) -> Result<Option<T>, TopologyError> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(TopologyError::Missing { stream }) => {
            first.get_or_insert(stream);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Opens a stream, and creates it if it is missing and may be created.
pub(crate) async fn open(
    context: &Context,
    wanted: Config,
    missing: Missing,
) -> Result<Stream, TopologyError> {
    let name = wanted.name.clone();
    let failed = |source: GetStreamError| {
        if has_no_jetstream(&source) {
            TopologyError::NoJetStream { stream: name.clone(), source }
        } else {
            TopologyError::Lookup { stream: name.clone(), source }
        }
    };
    let stream = match context.get_stream(&wanted.name).await {
        Ok(stream) => stream,
        Err(error) if is_not_found(&error) && missing == Missing::Awaited => {
            return Err(TopologyError::Missing { stream: name });
        }
        Err(error) if is_not_found(&error) => match create(context, &wanted).await? {
            Some(stream) => stream,
            // Another process was quicker.
            None => context.get_stream(&wanted.name).await.map_err(failed)?,
        },
        Err(error) => return Err(failed(error)),
    };
    let stream = match missing {
        Missing::Created => deduplication::turn_off(context, &wanted, stream).await,
        Missing::Awaited => stream,
    };
    check(&wanted, &stream.cached_info().config)?;
    Ok(stream)
}

/// Creates a stream again that is gone. Returns whether it was.
pub(crate) async fn restore(context: &Context, wanted: &Config) -> Result<bool, TopologyError> {
    match context.get_stream(&wanted.name).await {
        Ok(_) => Ok(false),
        Err(error) if is_not_found(&error) => {
            create(context, wanted).await?;
            tracing::error!(
                stream = wanted.name,
                "the stream was gone, with everything in it; created it again"
            );
            Ok(true)
        }
        Err(source) => Err(TopologyError::Lookup { stream: wanted.name.clone(), source }),
    }
}

async fn create(context: &Context, wanted: &Config) -> Result<Option<Stream>, TopologyError> {
    match context.create_stream(wanted.clone()).await {
        Ok(stream) => {
            tracing::info!(stream = wanted.name, "created the stream");
            Ok(Some(stream))
        }
        Err(error) if is_name_in_use(&error) => Ok(None),
        Err(source) => Err(TopologyError::Create { stream: wanted.name.clone(), source }),
    }
}

fn is_not_found(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn has_no_jetstream(error: &GetStreamError) -> bool {
    match error.kind() {
        GetStreamErrorKind::JetStream(error) => matches!(
            error.error_code(),
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
        ),
        // Without an answer in time there may be JetStream; where nobody listens there is none.
        GetStreamErrorKind::Request => says_no_responders(error),
        _ => false,
    }
}

/// Whether nobody at all listens where the request went.
fn says_no_responders(error: &GetStreamError) -> bool {
    let sources = std::iter::successors(std::error::Error::source(error), |error| (*error).source());
    sources
        .filter_map(|source| source.downcast_ref::<context::RequestError>())
        .any(|error| error.kind() == context::RequestErrorKind::NoResponders)
}

fn is_name_in_use(error: &CreateStreamError) -> bool {
    matches!(error.kind(), CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

/// Refuses a stream that cannot serve, and reports one that is merely set differently.
fn check(wanted: &Config, found: &Config) -> Result<(), TopologyError> {
    let mut essential = differences(&[
        ("subjects", &wanted.subjects, &found.subjects),
        ("retention", &wanted.retention, &found.retention),
        ("max_msgs_per_subject", &wanted.max_messages_per_subject, &found.max_messages_per_subject),
        ("allow_rollup_hdrs", &wanted.allow_rollup, &found.allow_rollup),
        ("allow_msg_ttl", &wanted.allow_message_ttl, &found.allow_message_ttl),
        ("allow_direct", &wanted.allow_direct, &found.allow_direct),
        ("discard", &wanted.discard, &found.discard),
        ("sealed", &wanted.sealed, &found.sealed),
        ("no_ack", &wanted.no_ack, &found.no_ack),
        // Markers would be taken for messages, and a copy of another stream cannot be written.
        ("subject_delete_marker_ttl", &wanted.subject_delete_marker_ttl, &found.subject_delete_marker_ttl),
        ("mirror", &wanted.mirror.is_some(), &found.mirror.is_some()),
        ("subject_transform", &wanted.subject_transform.is_some(), &found.subject_transform.is_some()),
    ]);
    if wanted.name.starts_with("KV_") {
        // A record that is removed because of its age would let a user in again whom an administrator disabled.
        essential.extend(differences(&[("max_age", &wanted.max_age, &found.max_age)]));
    }
    if !essential.is_empty() {
        return Err(TopologyError::Different { stream: wanted.name.clone(), differences: essential });
    }
    let limits = differences(&[
        ("max_age", &wanted.max_age, &found.max_age),
        ("max_bytes", &wanted.max_bytes, &found.max_bytes),
        ("max_msgs", &wanted.max_messages, &found.max_messages),
        ("max_msg_size", &wanted.max_message_size, &found.max_message_size),
        ("max_consumers", &wanted.max_consumers, &found.max_consumers),
        ("num_replicas", &wanted.num_replicas, &found.num_replicas),
        ("duplicate_window", &wanted.duplicate_window, &found.duplicate_window),
        ("storage", &wanted.storage, &found.storage),
    ]);
    if !limits.is_empty() {
        tracing::warn!(
            stream = wanted.name,
            differences = %Differences(&limits),
            "the stream has other limits than configured and keeps them; `nats stream edit` changes them"
        );
    }
    Ok(())
}
