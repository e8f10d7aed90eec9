//! What the streams hold already, asked of their leaders: whoever takes up writing must not be told by a
//! replica that something is not there which is.

use async_nats::jetstream::context::{ConsumerInfoError, ConsumerInfoErrorKind};
use async_nats::jetstream::stream::{
    LastRawMessageError, LastRawMessageErrorKind, RawMessageError, RawMessageErrorKind,
};
use tidings_model::{Address, EnvelopeSubject, Origin, Place, Position, RawEvent, Tenant};
use time::OffsetDateTime;

use crate::convert::{origin, raw_event};
use crate::purge::{any_notice, notice};
use crate::topology::Topology;

/// Which envelope of a generation lies on a subject, and since when.
pub async fn last_written(
    topology: &Topology,
    subject: &EnvelopeSubject,
    generation: u32,
) -> Result<Option<(Origin, OffsetDateTime)>, PastError> {
    let place = Place { shard: topology.shard(), generation };
    last_on(topology, &subject.written_in(place)).await
}

/// Which envelope of a tenant was written last in a generation, and when.
pub async fn last_of_generation(
    topology: &Topology,
    tenant: &Tenant,
    generation: u32,
) -> Result<Option<(Origin, OffsetDateTime)>, PastError> {
    let place = Place { shard: topology.shard(), generation };
    last_on(topology, &EnvelopeSubject::of(tenant, place)).await
}

/// The sequence of a tenant's last event, or `None` if `EVENTS` retains none.
pub async fn last_event(topology: &Topology, tenant: &Tenant) -> Result<Option<u64>, PastError> {
    match topology.events.get_last_raw_message_by_subject(&format!("events.{tenant}.>")).await {
        Ok(message) => Ok(Some(message.sequence)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(PastError::LastEvent(error)),
    }
}

/// The sequence of the event up to which all are projected, as the durable consumer of this name says; `None` if there is
/// no such consumer.
pub async fn projected_through(topology: &Topology, consumer: &str) -> Result<Option<u64>, PastError> {
    match topology.events.consumer_info(consumer).await {
        Ok(info) => Ok(Some(info.ack_floor.stream_sequence)),
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(None),
        Err(error) => Err(PastError::Consumer(error)),
    }
}

async fn last_on(topology: &Topology, subject: &str) -> Result<Option<(Origin, OffsetDateTime)>, PastError> {
    match topology.envelopes.get_last_raw_message_by_subject(subject).await {
        Ok(message) => Ok(origin(&message.headers).map(|origin| (origin, message.time))),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(PastError::Envelopes(error)),
    }
}

/// The first event on this subject of `EVENTS` that comes after a position.
pub async fn next_event(
    topology: &Topology,
    subject: &str,
    after: Position,
) -> Result<Option<RawEvent>, PastError> {
    let next = topology.events.raw_message_builder().sequence(after.sequence + 1).next_by_subject(subject);
    match next.send().await {
        Ok(message) => {
            let position = Position { sequence: message.sequence, ..after };
            let (headers, payload) = (Some(&message.headers), message.payload.clone());
            Ok(Some(raw_event(&message.subject, headers, payload, position, message.time)))
        }
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(PastError::Events(error)),
    }
}

/// When somebody's envelopes were removed last, and the sequence of the notice that says so; of anybody's,
/// without an address.
pub async fn last_purge(
    topology: &Topology,
    address: Option<(&Tenant, &Address)>,
) -> Result<Option<(u64, OffsetDateTime)>, PastError> {
    let shard = topology.shard();
    let subject =
        address.map_or_else(|| any_notice(shard), |(tenant, address)| notice(shard, tenant, address));
    match topology.envelopes.get_last_raw_message_by_subject(&subject).await {
        Ok(message) => Ok(Some((message.sequence, message.time))),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(PastError::Envelopes(error)),
    }
}

/// NATS does not say what a stream holds.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// Of `ENVELOPES`.
    #[error("NATS does not say what stream ENVELOPES holds")]
    Envelopes(#[source] LastRawMessageError),
    /// Of `EVENTS`.
    #[error("NATS does not say what stream EVENTS holds")]
    Events(#[source] RawMessageError),
    /// Of its durable consumer.
    #[error("NATS does not say how far events are projected")]
    Consumer(#[source] ConsumerInfoError),
    /// Of the end of `EVENTS`.
    #[error("NATS does not say what stream EVENTS ends with")]
    LastEvent(#[source] LastRawMessageError),
}
