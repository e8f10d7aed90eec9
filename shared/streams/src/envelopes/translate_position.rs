//! Translates a position to the current generation of a tenant's envelopes.
//!
//! Sequences of different generations cannot be compared. But each envelope names its origin, a part of an event, and
//! origins ascend in every generation. A consumer at a position of an older generation lacks the first envelope after
//! it, and everything of the same origin or a later one. It resumes before the first of those in the current
//! generation. A consumer that has read all of an older generation resumes after the origin of its last envelope,
//! because a shard that a tenant has left may have written more than was written elsewhere by then. All of this takes a
//! few reads by sequence, only for consumers that return after a rebuild.
//!
//! A stream may grow between two of these reads, and a server that has lost the leadership without noticing may answer one
//! of them. So the last envelope is read first: what does not lie behind it was not there at one and the same moment, and
//! an answer that misses what an earlier one has shown is not believed. A last envelope that is out of date only lets a
//! consumer resume too early.
//!
//! A stream that was restored from a backup has the envelopes of another one up to a sequence (`nats::restored`). Positions in
//! that one are first turned into those of the restored one.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageError, RawMessageError};
use tidings_model::{
    EnvelopeSubject, Epoch, OriginOrder, PastPlacement, Place, Placement, Position, ShardNumber, Tenant,
};

use super::resume::resume;
use super::stored_envelope::origin;
use crate::nats::restored::{Continued, Continues};
use crate::nats::{TopologyError, leader_get};
use crate::topology::{ExtentError, Topology};

/// A position in the current generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translated {
    /// The position.
    pub position: Position,
    /// Whether the original is of envelopes that were lost when the stream was restored from a backup.
    pub is_lost: bool,
}

/// Translates `position` to the current generation; `None` if it belongs to no existing stream, nor to one that an existing
/// stream continues.
pub async fn translate_position(
    topology: &Topology,
    tenant: &Tenant,
    placement: &Placement,
    position: Position,
) -> Result<Option<Translated>, TranslateError> {
    let streams = Streams::of(topology, placement).await?;
    let Continued { position, is_lost } = streams.continued(position);
    let translated = streams.translate(tenant, placement, position).await?;
    Ok(translated.map(|position| Translated { position, is_lost }))
}

impl Streams {
    /// Translates a position of an existing stream.
    async fn translate(
        &self,
        tenant: &Tenant,
        placement: &Placement,
        position: Position,
    ) -> Result<Option<Position>, TranslateError> {
        let Some(stay) = placement.stay_of(position, |shard| self.epoch(shard)) else { return Ok(None) };
        let current = placement.current.place;
        let Some(stream) = self.get(current.shard) else { return Ok(None) };
        let at = |sequence| Position { epoch: current.epoch(stream.epoch), sequence };
        if stay.place == current {
            return Ok(Some(at(position.sequence)));
        }
        let since = placement.current.since.map_or(0, |since| since.sequence);
        let before = match self.first_unread(tenant, placement, stay, position.sequence).await? {
            Some(unread) => stream.before(tenant, placement.current, unread).await?,
            None => None,
        };
        Ok(Some(at(before.unwrap_or(since))))
    }
}

/// The streams with the current and past envelopes of a tenant.
struct Streams(Vec<Stream>);

struct Stream {
    topology: Topology,
    epoch: Epoch,
    continues: Continues,
}

impl Streams {
    async fn of(topology: &Topology, placement: &Placement) -> Result<Self, TranslateError> {
        let mut streams: Vec<Stream> = Vec::new();
        for place in placement.places() {
            if streams.iter().all(|stream| stream.topology.shard() != place.shard) {
                let topology = topology.on(place.shard).await?;
                let (epoch, continues) = topology.continues().await?;
                streams.push(Stream { topology, epoch, continues });
            }
        }
        Ok(Self(streams))
    }

    /// The position as it is now, if it is of a stream that one of these continues.
    fn continued(&self, position: Position) -> Continued {
        let found = self.0.iter().find_map(|stream| stream.continues.translate(position, stream.epoch));
        found.unwrap_or(Continued { position, is_lost: false })
    }

    fn get(&self, shard: ShardNumber) -> Option<&Stream> {
        self.0.iter().find(|stream| stream.topology.shard() == shard)
    }

    fn epoch(&self, shard: ShardNumber) -> Option<Epoch> {
        self.get(shard).map(|stream| stream.epoch)
    }

    /// The earliest origin that a consumer at this sequence of a past placement still lacks; `None` if the content of
    /// that placement is unknown.
    async fn first_unread(
        &self,
        tenant: &Tenant,
        placement: &Placement,
        stay: PastPlacement,
        sequence: u64,
    ) -> Result<Option<OriginOrder>, TranslateError> {
        let mut stood_at = Some(sequence);
        for former in placement.former.iter().skip_while(|former| **former != stay) {
            // In the past placements after the first, new envelopes follow the notice.
            let noticed_at = former.since.map(|since| since.sequence);
            let after = stood_at.take().or(noticed_at).unwrap_or_default();
            let Some(stream) = self.get(former.place.shard) else { continue };
            let Some(last) = stream.last(tenant, former.place).await? else { continue };
            if last.sequence <= after {
                return Ok(unread_behind(&last, *former));
            }
            let next = stream.next(tenant, former.place, after.saturating_add(1)).await?;
            return Ok(unread_from(&next.ok_or(TranslateError::Contradicted(last.sequence))?));
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

    /// The sequence before the first envelope of a placement with this origin or a later one; that of its last envelope, if
    /// all are earlier; `None` if it has none. Searches by bisection.
    async fn before(
        &self,
        tenant: &Tenant,
        stay: PastPlacement,
        from: OriginOrder,
    ) -> Result<Option<u64>, TranslateError> {
        let Some(last) = self.last(tenant, stay.place).await? else { return Ok(None) };
        let is_read =
            |message: &StreamMessage| written_through(message, stay).is_some_and(|through| through < from);
        if is_read(&last) {
            return Ok(Some(last.sequence));
        }
        let (mut low, mut high, mut found) = (1, last.sequence, last.sequence.saturating_sub(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let next = self.next(tenant, stay.place, middle).await?;
            let message = next.ok_or(TranslateError::Contradicted(last.sequence))?;
            if message.sequence < high && is_read(&message) {
                low = message.sequence.saturating_add(1);
            } else {
                (high, found) = (middle, found.min(message.sequence.saturating_sub(1)));
            }
        }
        Ok(Some(found))
    }
}

/// The origin of an envelope or, if events were held back when it was written, of the oldest of those, which follow it.
fn unread_from(message: &StreamMessage) -> Option<OriginOrder> {
    let own = origin(&message.headers)?;
    let held_from = resume(&message.headers).and_then(|resume| resume.held_from);
    match held_from {
        Some(held_from) if held_from < own.event.sequence => Some((own.event.epoch.0, held_from, 0)),
        _ => Some(own.order()),
    }
}

/// The first origin that a consumer still lacks after it has read this envelope of a past placement and all before it.
fn unread_behind(message: &StreamMessage, stay: PastPlacement) -> Option<OriginOrder> {
    let (epoch, sequence, part) = written_through(message, stay)?;
    let held_from = resume(&message.headers).and_then(|resume| resume.held_from);
    Some(held_from.map_or((epoch, sequence, part.saturating_add(1)), |held_from| (epoch, held_from, 0)))
}

/// The origin up to which everything was written at this envelope: its own, in a rebuilt part; in a part that was
/// projected live, an envelope that was held back names another one.
fn written_through(message: &StreamMessage, stay: PastPlacement) -> Option<OriginOrder> {
    let own = origin(&message.headers)?.order();
    if stay.since.is_some_and(|since| message.sequence <= since.sequence) {
        return Some(own);
    }
    let after = resume(&message.headers).and_then(|resume| resume.after);
    Some(after.map_or(own, |after| after.order().max(own)))
}

/// A position cannot be translated now.
#[derive(Debug, thiserror::Error)]
pub enum TranslateError {
    /// A stream cannot be used.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The state of a stream cannot be read.
    #[error(transparent)]
    Extent(#[from] ExtentError),
    /// An envelope cannot be read.
    #[error("cannot read the envelopes after a position of an earlier generation")]
    Read(#[source] RawMessageError),
    /// The last envelope cannot be read.
    #[error("cannot read the last envelope of an earlier generation")]
    ReadLast(#[source] LastRawMessageError),
    /// One answer misses what another has shown: it was removed meanwhile, or the stream's leader has changed.
    #[error("the envelope at {0} was there and was not found a moment later; try again")]
    Contradicted(u64),
}
