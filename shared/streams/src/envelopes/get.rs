//! Reads single envelopes, by sequence or as the newest of their key.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{DirectGetError, DirectGetErrorKind};
use tidings_model::{EnvelopeSubject, Place};

use super::stored_envelope::StoredEnvelope;
use crate::nats::leader_get;
use crate::topology::Topology;

/// The newest envelope of a generation on this subject, or `None` if there is none. The stream keeps it for each
/// `latest` key.
pub async fn newest(
    topology: &Topology,
    subject: &EnvelopeSubject,
    generation: u32,
) -> Result<Option<StoredEnvelope>, ReadEnvelopeError> {
    let place = Place { shard: topology.shard(), generation };
    let subject = subject.written_in(place);
    if let Some(found) = found(topology.envelopes.direct_get_last_for_subject(&subject).await)? {
        return Ok(StoredEnvelope::from_stream(&found));
    }
    let found = leader_get::last(&topology.envelopes, &subject).await.map_err(ReadEnvelopeError::new)?;
    Ok(found.and_then(|message| StoredEnvelope::from_stream(&message)))
}

/// The envelope with this sequence, or `None` if the stream has removed it.
pub async fn fetch(topology: &Topology, sequence: u64) -> Result<Option<StoredEnvelope>, ReadEnvelopeError> {
    if let Some(found) = found(topology.envelopes.direct_get(sequence).await)? {
        return Ok(StoredEnvelope::from_stream(&found));
    }
    let found =
        leader_get::certainly_at(&topology.envelopes, sequence).await.map_err(ReadEnvelopeError::new)?;
    Ok(found.and_then(|message| StoredEnvelope::from_stream(&message)))
}

/// Whether the stream holds nothing after this sequence. Its last sequence does not say so: what had it may be removed.
pub async fn is_at_end(topology: &Topology, sequence: u64) -> Result<bool, ReadEnvelopeError> {
    let next = leader_get::next(&topology.envelopes, ">", sequence.saturating_add(1)).await;
    Ok(next.map_err(ReadEnvelopeError::new)?.is_none())
}

/// What a replica answers. One that is behind does not have yet what the leader may have.
fn found(got: Result<StreamMessage, DirectGetError>) -> Result<Option<StreamMessage>, ReadEnvelopeError> {
    match got {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReadEnvelopeError::new(error)),
    }
}

/// An envelope cannot be read from `ENVELOPES`.
#[derive(Debug, thiserror::Error)]
#[error("the envelope cannot be read from stream ENVELOPES")]
pub struct ReadEnvelopeError(#[source] async_nats::Error);

impl ReadEnvelopeError {
    pub(super) fn new(source: impl Into<async_nats::Error>) -> Self {
        Self(source.into())
    }
}
