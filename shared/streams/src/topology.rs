//! The streams: created if they are missing, checked if they are there, never altered.
//!
//! `EVENTS` and `REJECTED` are there once, `ENVELOPES` once for each shard that tenants are spread over.
//!
//! Settings on which correctness rests (subjects, rollup, direct access, message TTL) must be as
//! wanted, or the process does not start. Limits (age, size, replicas) belong to the operator: a
//! difference there is reported and respected.

use std::fmt;
use std::sync::Arc;

use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{Config, Info, InfoError, Stream};
use async_nats::jetstream::{self, Context, ErrorCode};
use tidings_model::{Epoch, Position, PositionError, ShardNumber};

use crate::placements::Placements;

mod settings;

pub use settings::Settings;

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
}

impl Topology {
    /// Creates what is missing and checks what is there. The envelopes are those of the first shard.
    pub async fn ensure(client: &async_nats::Client, settings: &Settings) -> Result<Self, TopologyError> {
        let (context, shard) = (jetstream::new(client.clone()), ShardNumber::default());
        Ok(Self {
            events: ensure(&context, settings.events()).await?.into(),
            envelopes: ensure(&context, settings.envelopes(shard)).await?.into(),
            rejected: ensure(&context, settings.rejected()).await?.into(),
            placements: Placements::open(&context, settings).await?,
            settings: Arc::new(settings.clone()),
            shard,
            context,
        })
    }

    /// The same with the envelopes of another shard, whose stream is created if it is missing.
    pub async fn on(&self, shard: ShardNumber) -> Result<Self, TopologyError> {
        if shard == self.shard {
            return Ok(self.clone());
        }
        let envelopes = ensure(&self.context, self.settings.envelopes(shard)).await?.into();
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

    /// What the shard's stream of envelopes holds now.
    pub async fn extent(&self) -> Result<Extent, ExtentError> {
        let info = self.envelopes.get_info().await.map_err(ExtentError)?;
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        Ok(Extent {
            epoch: epoch_of(&info),
            floor: first.saturating_sub(1).min(last),
            last,
            messages: info.state.messages,
            bytes: info.state.bytes,
        })
    }

    /// The largest message, headers included, that NATS takes and `ENVELOPES` stores, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        let server = self.context.client().max_payload();
        // The stream knows no limit if its own is -1.
        let stream = usize::try_from(self.envelopes.cached_info().config.max_message_size);
        stream.map_or(server, |stream| stream.min(server))
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
    /// retained), a sequence, or a whole position.
    pub fn position(&self, text: &str) -> Result<Position, PositionError> {
        let at = |sequence| Position { epoch: self.epoch, sequence };
        match text {
            "new" => Ok(at(self.last)),
            "all" => Ok(at(self.floor)),
            _ => text.parse().map_or_else(|_| text.parse(), |sequence| Ok(at(sequence))),
        }
    }
}

/// The stream's state cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the state of stream ENVELOPES cannot be read now")]
pub struct ExtentError(#[source] InfoError);

/// A stream made anew has another creation time; microseconds keep the number short.
pub(crate) fn epoch_of(info: &Info) -> Epoch {
    Epoch(u64::try_from(info.created.unix_timestamp_nanos() / 1_000).unwrap_or_default())
}

pub(crate) async fn ensure(context: &Context, wanted: Config) -> Result<Stream, TopologyError> {
    let name = wanted.name.clone();
    let failed = |source| TopologyError::Lookup { stream: name.clone(), source };
    let stream = match context.get_stream(&wanted.name).await {
        Ok(stream) => stream,
        Err(error) if is_not_found(&error) => match create(context, &wanted).await? {
            Some(stream) => stream,
            // Another process was quicker.
            None => context.get_stream(&wanted.name).await.map_err(failed)?,
        },
        Err(error) => return Err(failed(error)),
    };
    check(&wanted, &stream.cached_info().config)?;
    Ok(stream)
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

fn is_name_in_use(error: &CreateStreamError) -> bool {
    matches!(error.kind(), CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

/// Refuses a stream that cannot serve, and reports one that is merely set differently.
fn check(wanted: &Config, found: &Config) -> Result<(), TopologyError> {
    let essential = differences(&[
        ("subjects", &wanted.subjects, &found.subjects),
        ("retention", &wanted.retention, &found.retention),
        ("max_msgs_per_subject", &wanted.max_messages_per_subject, &found.max_messages_per_subject),
        ("allow_rollup_hdrs", &wanted.allow_rollup, &found.allow_rollup),
        ("allow_msg_ttl", &wanted.allow_message_ttl, &found.allow_message_ttl),
        ("allow_direct", &wanted.allow_direct, &found.allow_direct),
        ("discard", &wanted.discard, &found.discard),
        ("sealed", &wanted.sealed, &found.sealed),
        ("no_ack", &wanted.no_ack, &found.no_ack),
    ]);
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

/// A setting of a stream that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting, as the JetStream API names it.
    pub setting: &'static str,
    /// What the stream has.
    pub found: String,
    /// What Tidings wants.
    pub wanted: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is {}, expected {}", self.setting, self.found, self.wanted)
    }
}

type Setting<'c> = (&'static str, &'c dyn fmt::Debug, &'c dyn fmt::Debug);

fn differences(settings: &[Setting<'_>]) -> Vec<Difference> {
    let described = settings.iter().map(|(setting, wanted, found)| Difference {
        setting,
        found: format!("{found:?}"),
        wanted: format!("{wanted:?}"),
    });
    described.filter(|difference| difference.found != difference.wanted).collect()
}

struct Differences<'d>(&'d [Difference]);

impl fmt::Display for Differences<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, difference) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{difference}")?;
        }
        Ok(())
    }
}

/// Why the streams cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// NATS does not answer about the stream.
    #[error("cannot look up stream {stream}; does this nats-server run with JetStream (-js)?")]
    Lookup {
        /// The stream.
        stream: String,
        /// What the client says.
        #[source]
        source: GetStreamError,
    },
    /// NATS does not create the stream.
    #[error(
        "cannot create stream {stream}; may this NATS user do that? If not, start the projector, which may, first"
    )]
    Create {
        /// The stream.
        stream: String,
        /// What the client says.
        #[source]
        source: CreateStreamError,
    },
    /// The stream is there but cannot serve.
    #[error(
        "stream {stream} exists with other settings: {}; Tidings alters no stream: change it with `nats stream edit \
         {stream}`, or remove it if nothing in it matters",
        Differences(differences)
    )]
    Different {
        /// The stream.
        stream: String,
        /// All settings that differ.
        differences: Vec<Difference>,
    },
}
