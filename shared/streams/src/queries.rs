//! Queries about the content of the streams, answered by their leaders: a decision must not rest on a replica that may
//! not have a message yet.

use std::time::Duration;

use async_nats::jetstream::consumer::Info;
use async_nats::jetstream::context::{ConsumerInfoError, ConsumerInfoErrorKind};
use async_nats::jetstream::stream::{LastRawMessageError, RawMessageError};
use tidings_model::{Address, EnvelopeSubject, Origin, Place, Position, RawEvent, Tenant};
use time::OffsetDateTime;

use crate::envelopes::{notice, origin};
use crate::events::{EventHistory, raw_event};
use crate::nats::{epoch_of, leader_get};
use crate::topology::Topology;
use crate::topology::subjects::{any_purge, purge_subject};

/// How long to wait for messages that NATS reported as pending.
const PATIENCE: Duration = Duration::from_secs(1);

/// The origin of the envelope of a generation on a subject, and when it was stored.
pub async fn last_written(
    topology: &Topology,
    subject: &EnvelopeSubject,
    generation: u32,
) -> Result<Option<(Origin, OffsetDateTime)>, QueryError> {
    let place = Place { shard: topology.shard(), generation };
    last_on(topology, &subject.written_in(place)).await
}

/// The origin of the last envelope of a tenant in a generation, and when it was stored.
pub async fn last_of_generation(
    topology: &Topology,
    tenant: &Tenant,
    generation: u32,
) -> Result<Option<(Origin, OffsetDateTime)>, QueryError> {
    let place = Place { shard: topology.shard(), generation };
    last_on(topology, &EnvelopeSubject::of(tenant, place)).await
}

/// The position of a tenant's last event, or `None` if `EVENTS` retains none.
pub async fn last_event(topology: &Topology, tenant: &Tenant) -> Result<Option<Position>, QueryError> {
    let last = leader_get::last(&topology.events, &format!("events.{tenant}.>")).await;
    Ok(last.map_err(QueryError::LastEvent)?.map(|message| topology.event_at(message.sequence)))
}

/// The sequence up to which all events are projected, from the durable consumer of this name; `None` if there is no
/// such consumer.
pub async fn projected_through(topology: &Topology, consumer: &str) -> Result<Option<u64>, QueryError> {
    Ok(consumer_info(topology, consumer).await?.map(|info| info.ack_floor.stream_sequence))
}

/// The position of the first event of a tenant that was stored at or after `since`; if there is none yet, the position
/// of the next event. Without a time, the position of the first event that `EVENTS` may retain.
pub async fn first_event(
    topology: &Topology,
    tenant: &Tenant,
    since: Option<OffsetDateTime>,
) -> Result<Position, QueryError> {
    let info = topology.events.get_info().await.map_err(|error| QueryError::FirstEvent(error.into()))?;
    let lives = topology.lives().await.map_err(QueryError::FirstEvent)?;
    let at = |sequence| lives.position(epoch_of(&info), sequence);
    if since.is_none() {
        return Ok(at(info.state.first_sequence.max(1)));
    }
    let opened = EventHistory::open(topology, tenant, None, since).await;
    let mut history = opened.map_err(|error| QueryError::FirstEvent(error.into()))?;
    if history.has_read_all().await.map_err(|error| QueryError::FirstEvent(error.into()))? {
        return Ok(at(info.state.last_sequence.saturating_add(1)));
    }
    // The remaining events may be removed at any moment.
    let ready = tokio::time::timeout(PATIENCE, history.ready()).await;
    ready.map_err(|error| QueryError::FirstEvent(error.into()))?;
    Ok(history.peek().map_or(history.position(), |event| event.position))
}

/// Whether the projectors that share a durable consumer are done with all events before a position.
pub async fn is_done_before(
    topology: &Topology,
    consumer: &str,
    before: Position,
) -> Result<bool, QueryError> {
    if before.sequence <= 1 {
        return Ok(true);
    }
    let Some(info) = consumer_info(topology, consumer).await? else { return Ok(false) };
    let next = info.ack_floor.stream_sequence.saturating_add(1);
    if next >= before.sequence {
        return Ok(true);
    }
    if info.num_pending > 0 || info.num_ack_pending > 0 {
        return Ok(false);
    }
    // The server that leads the consumer may not have all of the stream yet.
    let left = leader_get::next(&topology.events, ">", next).await.map_err(QueryError::Events)?;
    Ok(left.is_none_or(|left| left.sequence >= before.sequence))
}

/// The state of a durable consumer of `EVENTS`; `None` if there is none of this name.
async fn consumer_info(topology: &Topology, name: &str) -> Result<Option<Info>, QueryError> {
    match topology.events.consumer_info(name).await {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(None),
        Err(source) => Err(QueryError::Consumer { name: name.to_owned(), source }),
    }
}

/// The position that the next event will have.
pub async fn end_of_events(topology: &Topology) -> Result<Position, QueryError> {
    let info = topology.events.get_info().await.map_err(|error| QueryError::FirstEvent(error.into()))?;
    let lives = topology.lives().await.map_err(QueryError::FirstEvent)?;
    Ok(lives.position(epoch_of(&info), info.state.last_sequence.saturating_add(1)))
}

/// The sequence and the origin of the first envelope of a tenant in a generation.
pub async fn first_of_generation(
    topology: &Topology,
    tenant: &Tenant,
    generation: u32,
) -> Result<Option<(u64, Origin)>, QueryError> {
    let subject = EnvelopeSubject::of(tenant, Place { shard: topology.shard(), generation });
    let first = leader_get::next(&topology.envelopes, &subject, 1).await.map_err(QueryError::Envelopes)?;
    Ok(first.and_then(|message| Some((message.sequence, origin(&message.headers)?))))
}

async fn last_on(topology: &Topology, subject: &str) -> Result<Option<(Origin, OffsetDateTime)>, QueryError> {
    let last = leader_get::last(&topology.envelopes, subject).await.map_err(QueryError::Envelopes)?;
    Ok(last.and_then(|message| Some((origin(&message.headers)?, message.time))))
}

/// The first event on this subject of `EVENTS` after a position.
pub async fn next_event(
    topology: &Topology,
    subject: &str,
    after: Position,
) -> Result<Option<RawEvent>, QueryError> {
    let next = leader_get::next(&topology.events, subject, after.sequence.saturating_add(1)).await;
    Ok(next.map_err(QueryError::Events)?.map(|message| {
        let position = topology.event_at(message.sequence);
        raw_event(&message.subject, Some(&message.headers), message.payload, position, message.time)
    }))
}

/// The sequence of the last purge notice for an address, and when it was stored; without an address, for any address.
pub async fn last_purge(
    topology: &Topology,
    address: Option<(&Tenant, &Address)>,
) -> Result<Option<(u64, OffsetDateTime)>, QueryError> {
    let shard = topology.shard();
    let subject =
        address.map_or_else(|| any_purge(shard), |(tenant, address)| purge_subject(shard, tenant, address));
    let last = notice::last(&topology.envelopes, &subject).await.map_err(QueryError::Envelopes)?;
    Ok(last.map(|message| (message.sequence, message.time)))
}

/// A stream cannot be queried.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// `ENVELOPES`.
    #[error("cannot query stream ENVELOPES")]
    Envelopes(#[source] LastRawMessageError),
    /// `EVENTS`.
    #[error("cannot query stream EVENTS")]
    Events(#[source] RawMessageError),
    /// The beginning of `EVENTS`.
    #[error("cannot query the first event of stream EVENTS")]
    FirstEvent(#[source] async_nats::Error),
    /// A durable consumer of `EVENTS`.
    #[error("cannot query the durable consumer {name:?} of stream EVENTS")]
    Consumer {
        /// The name of the consumer.
        name: String,
        /// The error of the client.
        #[source]
        source: ConsumerInfoError,
    },
    /// The end of `EVENTS`.
    #[error("cannot query the last event of stream EVENTS")]
    LastEvent(#[source] LastRawMessageError),
}
