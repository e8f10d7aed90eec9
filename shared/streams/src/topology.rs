//! The streams: created if they are missing, checked if they exist. No setting is altered except the deduplication of
//! `EVENTS` (module `deduplication`).
//!
//! Only projectors and administrative commands create streams; a gateway waits until they exist ([`Topology::find`]).
//!
//! There is one `EVENTS`, one `REJECTED`, and one `ENVELOPES` for each shard.
//!
//! Settings on which correctness rests (subjects, rollup, direct access, message TTL) must have the expected values, or
//! the process does not start. Limits (age, size, replicas) belong to the operator: a difference is logged and
//! respected.

use std::sync::Arc;

use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{Config, Info, InfoError, Stream};
use async_nats::jetstream::{Context, ErrorCode, context};
use tidings_model::{Epoch, Position, PositionError, ShardNumber};

use crate::end;
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

/// Events, as producers publish them.
pub const EVENTS: &str = "EVENTS";
/// Envelopes of the first shard. The names of the other shards' streams end in `_` and the number of the shard.
pub const ENVELOPES: &str = "ENVELOPES";
/// Events that could not be projected.
pub const REJECTED: &str = "REJECTED";

/// The checked streams, as one shard uses them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Topology {
    /// The JetStream context.
    pub(crate) context: Context,
    settings: Arc<Settings>,
    shard: ShardNumber,
    /// Events, as producers publish them.
    pub(crate) events: Arc<Stream>,
    /// Envelopes of this shard.
    pub(crate) envelopes: Arc<Stream>,
    /// Events that could not be projected.
    pub(crate) rejected: Arc<Stream>,
    placements: Placements,
    pub(crate) lives: KnownLives,
    missing: Missing,
}

/// What to do about a missing stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Create it.
    Created,
    /// Fail with [`TopologyError::Missing`]; the caller waits for it.
    Awaited,
}

impl Topology {
    /// Creates missing streams and checks existing ones. Uses the envelopes of the first shard.
    pub async fn ensure(client: &async_nats::Client, settings: &Settings) -> Result<Self, TopologyError> {
        Self::open(client, settings, Missing::Created).await
    }

    /// Checks the streams; fails with [`TopologyError::Missing`] if one does not exist.
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
        // An unusable stream is reported before a missing one, which may still be created.
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

    /// Recreates streams that have disappeared. Their content is already lost; readers find another epoch and report it
    /// to clients.
    pub async fn restore(&self) -> Result<(), TopologyError> {
        let settings = &self.settings;
        let events = settings.events(&self.context.client());
        for wanted in [events, settings.envelopes(self.shard), settings.rejected()] {
            restore(&self.context, &wanted).await?;
        }
        self.placements.restore_bucket().await
    }

    /// The same topology with the envelopes of another shard. That stream is created or waited for like the others.
    pub async fn on(&self, shard: ShardNumber) -> Result<Self, TopologyError> {
        if shard == self.shard {
            return Ok(self.clone());
        }
        let envelopes = open(&self.context, self.settings.envelopes(shard), self.missing).await?.into();
        Ok(Self { shard, envelopes, ..self.clone() })
    }

    /// The shard of these envelopes.
    #[must_use]
    pub fn shard(&self) -> ShardNumber {
        self.shard
    }

    /// The placements of tenants.
    #[must_use]
    pub fn placements(&self) -> &Placements {
        &self.placements
    }

    /// The configured settings of the streams.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the shard's stream of envelopes holds now.
    pub async fn extent(&self) -> Result<Extent, ExtentError> {
        self.extent_reaching(0).await
    }

    /// As [`Self::extent`]; the leader is asked again before it is believed that the stream ends before this sequence.
    pub async fn extent_reaching(&self, sequence: u64) -> Result<Extent, ExtentError> {
        let info = end::reaching(&self.envelopes, sequence).await.map_err(ExtentError)?;
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        Ok(Extent {
            epoch: epoch_of(&info),
            floor: first.saturating_sub(1).min(last),
            last,
            messages: info.state.messages,
            bytes: info.state.bytes,
        })
    }

    /// The largest message, headers included, that NATS accepts and `ENVELOPES` stores, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        let server = self.context.client().max_payload();
        // A stream without a limit of its own has -1.
        let stream = usize::try_from(self.envelopes.cached_info().config.max_message_size);
        stream.map_or(server, |stream| stream.min(server))
    }

    /// Whether there is a connection to NATS now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.context.client().connection_state() == async_nats::connection::State::Connected
    }

    /// The JetStream context, with the API prefix of this process's account.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The NATS client of these streams.
    #[must_use]
    pub fn client(&self) -> async_nats::Client {
        self.context.client()
    }
}

/// What a stream contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The epoch of the stream.
    pub epoch: Epoch,
    /// The sequence before the first retained one.
    pub floor: u64,
    /// The last sequence that was assigned.
    pub last: u64,
    /// The number of messages.
    pub messages: u64,
    /// The size of the messages in the stream, in bytes.
    pub bytes: u64,
}

impl Extent {
    /// Parses a position given by an operator: `new` (only new messages), `all` (everything retained), a sequence, or a
    /// whole position. Fails for a position after the end of the stream.
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

/// A text does not name a position from which a consumer can resume.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WantedPositionError {
    /// The text is not a position.
    #[error("{0}; `new`, `all` or a sequence is possible, too")]
    Position(#[from] PositionError),
    /// The position is after the end of the stream.
    #[error("{text} is after the end of the stream, which is {end}; `new` resumes with new messages")]
    PastEnd {
        /// The given text.
        text: String,
        /// The last position in the stream.
        end: Position,
    },
}

/// The state of the stream cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the state of stream ENVELOPES cannot be read now")]
pub struct ExtentError(#[source] InfoError);

/// The epoch of a stream: its creation time, which differs for a recreated stream. Microseconds keep the number short.
pub(crate) fn epoch_of(info: &Info) -> Epoch {
    Epoch(u64::try_from(info.created.unix_timestamp_nanos() / 1_000).unwrap_or_default())
}

/// Records the first stream that is missing.
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

/// Opens a stream; creates it if it is missing and `missing` permits that.
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
            // Another process created it first.
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

/// A stream that exists.
pub(crate) struct Restored {
    /// It had disappeared, and was recreated.
    pub(crate) was_lost: bool,
    pub(crate) replicas: usize,
}

/// Recreates a stream that has disappeared.
pub(crate) async fn restore(context: &Context, wanted: &Config) -> Result<Restored, TopologyError> {
    match context.get_stream(&wanted.name).await {
        Ok(stream) => Ok(Restored { was_lost: false, replicas: stream.cached_info().config.num_replicas }),
        Err(error) if is_not_found(&error) => {
            create(context, wanted).await?;
            tracing::error!(
                stream = wanted.name,
                "the stream had disappeared with its content; recreated it"
            );
            Ok(Restored { was_lost: true, replicas: wanted.num_replicas })
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
        // A timeout does not prove that JetStream is absent; a request without a responder does.
        GetStreamErrorKind::Request => says_no_responders(error),
        _ => false,
    }
}

/// Whether the request had no responder at all.
fn says_no_responders(error: &GetStreamError) -> bool {
    let sources = std::iter::successors(std::error::Error::source(error), |error| (*error).source());
    sources
        .filter_map(|source| source.downcast_ref::<context::RequestError>())
        .any(|error| error.kind() == context::RequestErrorKind::NoResponders)
}

fn is_name_in_use(error: &CreateStreamError) -> bool {
    matches!(error.kind(), CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

/// Fails if a stream cannot be used; logs a warning if only its limits differ.
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
        // Delete markers would be read as messages, and a mirror cannot be written to.
        ("subject_delete_marker_ttl", &wanted.subject_delete_marker_ttl, &found.subject_delete_marker_ttl),
        ("mirror", &wanted.mirror.is_some(), &found.mirror.is_some()),
        ("subject_transform", &wanted.subject_transform.is_some(), &found.subject_transform.is_some()),
    ]);
    if wanted.name.starts_with("KV_") {
        // If a record expired, a user whom an administrator disabled could connect again.
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
            "the limits of the stream differ from the configuration and stay; `nats stream edit` changes them"
        );
    }
    Ok(())
}
