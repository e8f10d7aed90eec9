//! Reads single envelopes, by sequence or as the newest of their key.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{DirectGetError, DirectGetErrorKind};
use tidings_model::{EnvelopeSubject, Place};

use crate::convert::StoredEnvelope;
use crate::topology::Topology;

/// The newest envelope of a generation on this subject, or `None` if there is none. The stream keeps it for each
/// `latest` key.
pub async fn newest(
    topology: &Topology,
    subject: &EnvelopeSubject,
    generation: u32,
) -> Result<Option<StoredEnvelope>, DirectGetError> {
    let place = Place { shard: topology.shard(), generation };
    found(topology.envelopes.direct_get_last_for_subject(subject.written_in(place)).await)
}

/// The envelope with this sequence, or `None` if the stream has removed it.
pub async fn fetch(topology: &Topology, sequence: u64) -> Result<Option<StoredEnvelope>, DirectGetError> {
    found(topology.envelopes.direct_get(sequence).await)
}

fn found(got: Result<StreamMessage, DirectGetError>) -> Result<Option<StoredEnvelope>, DirectGetError> {
    match got {
        Ok(message) => Ok(StoredEnvelope::from_stream(&message)),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
