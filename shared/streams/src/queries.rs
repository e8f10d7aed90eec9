//! What the streams hold already, asked of their leaders: whoever takes up writing must not be told by a
//! replica that something is not there which is.

use std::time::Duration;

use async_nats::jetstream::consumer::Info;
use async_nats::jetstream::context::{ConsumerInfoError, ConsumerInfoErrorKind};
use async_nats::jetstream::stream::{LastRawMessageError, RawMessageError};
use tidings_model::{Address, EnvelopeSubject, Origin, Place, Position, RawEvent, Tenant};
use time::OffsetDateTime;

use crate::convert::{origin, raw_event};
use crate::history::EventHistory;
use crate::leader_get;
use crate::notice;
use crate::purge::{any_notice, notice_subject};
use crate::topology::{Topology, epoch_of};

/// How long to wait for what is said to be there.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which envelope of a generation lies on a subject, and since when.
pub async fn last_written(
    topology: &Topology,
    subject: &EnvelopeSubject,
    generation: u32,
) -> Result<Option<(Origin, OffsetDateTime)>, QueryError> {
    let place = Place { shard: topology.shard(), generation };
    last_on(topology, &subject.written_in(place)).await
}

/// Which envelope of a tenant was written last in a generation, and when.
pub async fn last_of_generation(
    topology: &Topology,
    tenant: &Tenant,
    generation: u32,
) -> Result<Option<(Origin, OffsetDateTime)>, QueryError> {
    let place = Place { shard: topology.shard(), generation };
    last_on(topology, &EnvelopeSubject::of(tenant, place)).await
}

/// Where a tenant's last event lies, or `None` if `EVENTS` retains none.
pub async fn last_event(topology: &Topology, tenant: &Tenant) -> Result<Option<Position>, QueryError> {
    let last = leader_get::last(&topology.events, &format!("events.{tenant}.>")).await;
    Ok(last.map_err(QueryError::LastEvent)?.map(|message| topology.event_at(message.sequence)))
}

/// The sequence of the event up to which all are projected, as the durable consumer of this name says; `None` if there is
/// no such consumer.
pub async fn projected_through(topology: &Topology, consumer: &str) -> Result<Option<u64>, QueryError> {
    Ok(consumer_info(topology, consumer).await?.map(|info| info.ack_floor.stream_sequence))
}

/// The first event of a tenant that was stored at or after a time, or, without one, that may be retained; if there is
/// none yet, where the next event will lie.
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
    if history.left() == 0 {
        return Ok(at(info.state.last_sequence.saturating_add(1)));
    }
    // What is left may be removed just now.
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
    let info = consumer_info(topology, consumer).await?;
    Ok(info.is_some_and(|info| {
        let nothing_is_left = info.num_pending == 0 && info.num_ack_pending == 0;
        nothing_is_left || info.ack_floor.stream_sequence.saturating_add(1) >= before.sequence
    }))
}

/// How a durable consumer of `EVENTS` stands; `None` if there is none of this name.
async fn consumer_info(topology: &Topology, name: &str) -> Result<Option<Info>, QueryError> {
    match topology.events.consumer_info(name).await {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(None),
        Err(source) => Err(QueryError::Consumer { name: name.to_owned(), source }),
    }
}

/// Where the next event will lie.
pub async fn end_of_events(topology: &Topology) -> Result<Position, QueryError> {
    let info = topology.events.get_info().await.map_err(|error| QueryError::FirstEvent(error.into()))?;
    let lives = topology.lives().await.map_err(QueryError::FirstEvent)?;
    Ok(lives.position(epoch_of(&info), info.state.last_sequence.saturating_add(1)))
}

/// The first envelope of a tenant in a generation: its sequence, and where it came from.
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

/// The first event on this subject of `EVENTS` that comes after a position.
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

/// When somebody's envelopes were removed last, and the sequence of the notice that says so; of anybody's,
/// without an address.
pub async fn last_purge(
    topology: &Topology,
    address: Option<(&Tenant, &Address)>,
) -> Result<Option<(u64, OffsetDateTime)>, QueryError> {
    let shard = topology.shard();
    let subject =
        address.map_or_else(|| any_notice(shard), |(tenant, address)| notice_subject(shard, tenant, address));
    let last = notice::last(&topology.envelopes, &subject).await.map_err(QueryError::Envelopes)?;
    Ok(last.map(|message| (message.sequence, message.time)))
}

/// NATS does not say what a stream holds.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Of `ENVELOPES`.
    #[error("NATS does not say what stream ENVELOPES holds")]
    Envelopes(#[source] LastRawMessageError),
    /// Of `EVENTS`.
    #[error("NATS does not say what stream EVENTS holds")]
    Events(#[source] RawMessageError),
    /// Of the beginning of `EVENTS`.
    #[error("NATS does not say with which event stream EVENTS begins")]
    FirstEvent(#[source] async_nats::Error),
    /// Of a durable consumer of `EVENTS`.
    #[error("NATS does not say how far the durable consumer {name:?} of stream EVENTS is")]
    Consumer {
        /// Its name.
        name: String,
        /// What the client says.
        #[source]
        source: ConsumerInfoError,
    },
    /// Of the end of `EVENTS`.
    #[error("NATS does not say what stream EVENTS ends with")]
    LastEvent(#[source] LastRawMessageError),
}
