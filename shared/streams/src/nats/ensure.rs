//! Streams exist with the settings that the rest relies on: created if they are missing, checked if they exist.
//!
//! Settings on which correctness rests must have the expected values. Limits (age, size, replicas) belong to the
//! operator: a difference is logged and respected.

use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{Context, ErrorCode, context};
use tidings_model::Epoch;

use super::epoch_of;

pub(crate) mod consumer;
mod error;

pub use error::{Difference, TopologyError};

use error::{Differences, differences};

/// What to do about a missing stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Create it.
    Created,
    /// Fail with [`TopologyError::Missing`]; the caller waits for it.
    Awaited,
}

/// Opens and checks a stream; creates it if it is missing and `missing` permits that.
pub(crate) async fn open(
    context: &Context,
    wanted: Config,
    missing: Missing,
) -> Result<Stream, TopologyError> {
    let stream = find_or_create(context, &wanted, missing).await?;
    check(&wanted, &stream.cached_info().config)?;
    Ok(stream)
}

/// Finds a stream, whatever its settings; creates it if it is missing and `missing` permits that.
pub(crate) async fn find_or_create(
    context: &Context,
    wanted: &Config,
    missing: Missing,
) -> Result<Stream, TopologyError> {
    let failed = |source: GetStreamError| {
        let stream = wanted.name.clone();
        if has_no_jetstream(&source) {
            TopologyError::NoJetStream { stream, source }
        } else {
            TopologyError::Lookup { stream, source }
        }
    };
    match context.get_stream(&wanted.name).await {
        Ok(stream) => Ok(stream),
        Err(error) if is_not_found(&error) && missing == Missing::Awaited => {
            Err(TopologyError::Missing { stream: wanted.name.clone() })
        }
        Err(error) if is_not_found(&error) => match create(context, wanted).await? {
            Some(stream) => Ok(stream),
            // Another process created it first.
            None => context.get_stream(&wanted.name).await.map_err(failed),
        },
        Err(error) => Err(failed(error)),
    }
}

/// A stream that exists.
pub(crate) struct Restored {
    /// Another one than before, if the stream had disappeared, whoever has recreated it.
    pub(crate) epoch: Epoch,
    pub(crate) replicas: usize,
}

/// Recreates a stream that has disappeared.
pub(crate) async fn restore(context: &Context, wanted: &Config) -> Result<Restored, TopologyError> {
    let failed = |source| TopologyError::Lookup { stream: wanted.name.clone(), source };
    match context.get_stream(&wanted.name).await {
        Ok(stream) => Ok(Restored::of(&stream)),
        Err(error) if is_not_found(&error) => {
            let created = create(context, wanted).await?;
            tracing::error!(
                stream = wanted.name,
                "the stream had disappeared with its content; recreated it"
            );
            let stream = match created {
                Some(stream) => stream,
                // Another process was faster.
                None => context.get_stream(&wanted.name).await.map_err(failed)?,
            };
            Ok(Restored::of(&stream))
        }
        Err(source) => Err(failed(source)),
    }
}

impl Restored {
    fn of(stream: &Stream) -> Self {
        let info = stream.cached_info();
        Self { epoch: epoch_of(info), replicas: info.config.num_replicas }
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

/// Whether NATS says that there is no such stream, which one without a leader is not.
pub(crate) fn is_not_found(error: &GetStreamError) -> bool {
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
pub(crate) fn check(wanted: &Config, found: &Config) -> Result<(), TopologyError> {
    let (essential, limits) = compare(wanted, found);
    if !essential.is_empty() {
        return Err(TopologyError::Different { stream: wanted.name.clone(), differences: essential });
    }
    if !limits.is_empty() {
        tracing::warn!(
            stream = wanted.name,
            differences = %Differences(&limits),
            "the limits of the stream differ from the configuration and stay; `nats stream edit` changes them"
        );
    }
    Ok(())
}

/// The settings on which correctness rests, and the limits, that differ.
pub(crate) fn compare(wanted: &Config, found: &Config) -> (Vec<Difference>, Vec<Difference>) {
    let mut essential = differences(&[
        ("subjects", &wanted.subjects, &found.subjects),
        ("retention", &wanted.retention, &found.retention),
        ("max_msgs_per_subject", &wanted.max_messages_per_subject, &found.max_messages_per_subject),
        ("allow_rollup_hdrs", &wanted.allow_rollup, &found.allow_rollup),
        ("allow_msg_ttl", &wanted.allow_message_ttl, &found.allow_message_ttl),
        ("allow_msg_schedules", &wanted.allow_message_schedules, &found.allow_message_schedules),
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
    (essential, limits)
}
