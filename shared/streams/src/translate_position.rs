//! Carrying a position over to the generation of a tenant's envelopes that is current.
//!
//! Sequences mean nothing in another generation. What stays the same is which part of which event an envelope came from,
//! and that ascends in every generation. So whoever stands somewhere in an older one has not had the first envelope behind
//! it, nor anything that came from the same part of the same event or a later one; and goes on before the first of those.
//! Whoever has had all of an older one goes on behind what its last envelope came from: a shard that a tenant has left may
//! have written more than was written elsewhere by then. All of that is found by a few reads by sequence, which matter only
//! to those who come back after a rebuild.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageError, RawMessageError};
use tidings_model::{
    EnvelopeSubject, Epoch, OriginOrder, PastPlacement, Place, Placement, Position, ShardNumber, Tenant,
};

use crate::convert::{origin, resume};
use crate::leader_get;
use crate::topology::{Extent, ExtentError, Topology, TopologyError};

/// Where somebody goes on in the current generation who stands at `position`; `None` if that is from no stream that is
/// there.
pub async fn translate_position(
    topology: &Topology,
    tenant: &Tenant,
    placement: &Placement,
    position: Position,
) -> Result<Option<Position>, TranslateError> {
    let streams = Streams::of(topology, placement).await?;
    let Some(stay) = placement.stay_of(position, |shard| streams.epoch(shard)) else { return Ok(None) };
    let current = placement.current.place;
    let Some(stream) = streams.get(current.shard) else { return Ok(None) };
    let at = |sequence| Position { epoch: current.epoch(stream.epoch), sequence };
    if stay.place == current {
        return Ok(Some(at(position.sequence)));
    }
    let since = placement.current.since.map_or(0, |since| since.sequence);
    let Some(unread) = streams.first_unread(tenant, placement, stay, position.sequence).await? else {
        return Ok(Some(at(since)));
    };
    Ok(Some(at(stream.before(tenant, placement.current, unread).await?)))
}

/// The streams in which a tenant's envelopes are or were.
struct Streams(Vec<Stream>);

struct Stream {
    topology: Topology,
    epoch: Epoch,
    /// The last sequence.
    last: u64,
}

impl Streams {
    async fn of(topology: &Topology, placement: &Placement) -> Result<Self, TranslateError> {
        let mut streams: Vec<Stream> = Vec::new();
        for place in placement.places() {
            if streams.iter().all(|stream| stream.topology.shard() != place.shard) {
                let topology = topology.on(place.shard).await?;
                let Extent { epoch, last, .. } = topology.extent().await?;
                streams.push(Stream { topology, epoch, last });
            }
        }
        Ok(Self(streams))
    }

    fn get(&self, shard: ShardNumber) -> Option<&Stream> {
        self.0.iter().find(|stream| stream.topology.shard() == shard)
    }

    fn epoch(&self, shard: ShardNumber) -> Option<Epoch> {
        self.get(shard).map(|stream| stream.epoch)
    }

    /// Where that came from at the earliest which somebody has not had who stands at this sequence of a stay; `None` if
    /// nothing is known of what was there.
    async fn first_unread(
        &self,
        tenant: &Tenant,
        placement: &Placement,
        stay: PastPlacement,
        sequence: u64,
    ) -> Result<Option<OriginOrder>, TranslateError> {
        let mut stood_at = Some(sequence);
        for former in placement.former.iter().skip_while(|former| **former != stay) {
            // Of the stays behind the first, what was new there follows the notice.
            let noticed_at = former.since.map(|since| since.sequence);
            let after = stood_at.take().or(noticed_at).unwrap_or_default();
            let Some(stream) = self.get(former.place.shard) else { continue };
            if let Some(message) = stream.next(tenant, former.place, after.saturating_add(1)).await? {
                return Ok(unread_from(&message));
            }
            if let Some(message) = stream.last(tenant, former.place).await? {
                return Ok(unread_behind(&message, *former));
            }
        }
        Ok(None)
    }
}

impl Stream {
    /// The first envelope of a tenant in a place with at least this sequence.
    async fn next(
        &self,
        tenant: &Tenant,
        place: Place,
        sequence: u64,
    ) -> Result<Option<StreamMessage>, TranslateError> {
        let subject = EnvelopeSubject::of(tenant, place);
        leader_get::next(&self.topology.envelopes, &subject, sequence).await.map_err(TranslateError::Read)
    }

    /// The last envelope of a tenant in a place.
    async fn last(&self, tenant: &Tenant, place: Place) -> Result<Option<StreamMessage>, TranslateError> {
        let subject = EnvelopeSubject::of(tenant, place);
        leader_get::last(&self.topology.envelopes, &subject).await.map_err(TranslateError::ReadLast)
    }

    /// The sequence before the first envelope of a stay that came from there or later: halving what lies between.
    async fn before(
        &self,
        tenant: &Tenant,
        stay: PastPlacement,
        from: OriginOrder,
    ) -> Result<u64, TranslateError> {
        let (mut low, mut high, mut found) = (1, self.last.saturating_add(1), self.last);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.next(tenant, stay.place, middle).await? {
                Some(message) if message.sequence < high => match written_through(&message, stay) {
                    Some(through) if through < from => low = message.sequence.saturating_add(1),
                    _ => (high, found) = (middle, message.sequence.saturating_sub(1)),
                },
                _ => high = middle,
            }
        }
        Ok(found)
    }
}

/// Where an envelope came from, or what was held back when it was written: that lies behind it.
fn unread_from(message: &StreamMessage) -> Option<OriginOrder> {
    let own = origin(&message.headers)?;
    let held_from = resume(&message.headers).and_then(|resume| resume.held_from);
    match held_from {
        Some(held_from) if held_from < own.event.sequence => Some((own.event.epoch.0, held_from, 0)),
        _ => Some(own.order()),
    }
}

/// What is not had by who has had this envelope of a stay, and all before it.
fn unread_behind(message: &StreamMessage, stay: PastPlacement) -> Option<OriginOrder> {
    let (epoch, sequence, part) = written_through(message, stay)?;
    let held_from = resume(&message.headers).and_then(|resume| resume.held_from);
    Some(held_from.map_or((epoch, sequence, part.saturating_add(1)), |held_from| (epoch, held_from, 0)))
}

/// How far everything was written when this envelope was: in what was made anew, up to itself; of what was written as it
/// happened, one that was held back says so.
fn written_through(message: &StreamMessage, stay: PastPlacement) -> Option<OriginOrder> {
    let own = origin(&message.headers)?.order();
    if stay.since.is_some_and(|since| message.sequence <= since.sequence) {
        return Some(own);
    }
    let after = resume(&message.headers).and_then(|resume| resume.after);
    Some(after.map_or(own, |after| after.order().max(own)))
}

/// A position cannot be carried over now.
#[derive(Debug, thiserror::Error)]
pub enum TranslateError {
    /// A stream is not as it should be.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A stream does not tell how far it goes.
    #[error(transparent)]
    Extent(#[from] ExtentError),
    /// An envelope cannot be read.
    #[error("NATS does not tell which envelopes follow a position of a former generation")]
    Read(#[source] RawMessageError),
    /// The last envelope cannot be read.
    #[error("NATS does not tell with which envelope a former generation ends")]
    ReadLast(#[source] LastRawMessageError),
}
