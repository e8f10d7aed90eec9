//! Reads `ENVELOPES` for a gateway: one ordered read for all of its clients.

use std::collections::VecDeque;

use tidings_model::{Address, EnvelopeSubject, Epoch, Place, Position, Tenant};
use time::OffsetDateTime;

use super::place_notice::placed;
use super::purge::purged;
use super::stored_envelope::StoredEnvelope;
use crate::nats::{Content, Delivered, OrderedReader, Read, RepeatedFault, Selection};
use crate::topology::subjects::is_fence;
use crate::topology::{ENVELOPES, Topology};

/// Reads the envelopes from a position on.
pub struct EnvelopeFollower {
    reader: OrderedReader,
    /// Read and not yet returned.
    ready: VecDeque<Followed>,
    /// Counts messages that Tidings did not write.
    foreign: RepeatedFault,
}

/// What the follower returns.
#[derive(Debug)]
pub enum Followed {
    /// The next envelopes, in order.
    Envelopes(Vec<StoredEnvelope>),
    /// All envelopes of this address were removed from the stream on request.
    Purged(Tenant, Address),
    /// The tenant's envelopes are in this place from here on.
    Placed {
        /// The tenant.
        tenant: Tenant,
        /// Where its envelopes are.
        place: Place,
        /// The sequence of the notice.
        sequence: u64,
    },
    /// The stream was recreated: earlier sequences are invalid, and reading continues at the first envelope of the new
    /// stream.
    Renewed(Epoch),
}

impl EnvelopeFollower {
    /// Reads the envelopes after this position of the stream. If the stream has been recreated since, the first result
    /// is [`Followed::Renewed`].
    pub async fn after(
        topology: &Topology,
        position: Position,
        content: Content,
    ) -> Result<Self, FollowError> {
        Self::open(topology, position, content, Vec::new()).await
    }

    /// As [`Self::after`], without bodies; the message at the position was stored at this time, by which a stream that came
    /// back with an older state is known. Reading it continues at its first envelope.
    pub async fn behind(
        topology: &Topology,
        position: Position,
        stored_at: OffsetDateTime,
    ) -> Result<Self, FollowError> {
        let selection = Selection::new(topology.shard().name(ENVELOPES), Vec::new(), Content::HeadersOnly);
        let reader =
            OrderedReader::open_behind(topology.context.clone(), selection, position, stored_at).await;
        Ok(Self::of(reader.map_err(FollowError)?))
    }

    /// Reads the envelopes of these addresses after this position of the stream. JetStream scans for them, so use this
    /// for few readers at a time.
    pub async fn at_addresses(
        topology: &Topology,
        position: Position,
        (tenant, generation): (&Tenant, u32),
        addresses: &[Address],
    ) -> Result<Self, FollowError> {
        let place = Place { shard: topology.shard(), generation };
        let subjects = addresses.iter().map(|address| EnvelopeSubject::at(tenant, address, place)).collect();
        Self::open(topology, position, Content::Whole, subjects).await
    }

    /// Reads one generation of a tenant's envelopes from its beginning.
    pub async fn of_generation(
        topology: &Topology,
        tenant: &Tenant,
        generation: u32,
    ) -> Result<Self, FollowError> {
        let place = Place { shard: topology.shard(), generation };
        let epoch = topology.extent().await.map_err(FollowError::new)?.epoch;
        let subjects = vec![EnvelopeSubject::of(tenant, place)];
        Self::open(topology, Position { epoch, sequence: 0 }, Content::Whole, subjects).await
    }

    async fn open(
        topology: &Topology,
        position: Position,
        content: Content,
        subjects: Vec<String>,
    ) -> Result<Self, FollowError> {
        let stream = topology.shard().name(ENVELOPES);
        let selection = Selection::new(stream, subjects, content);
        let reader = OrderedReader::open(topology.context.clone(), selection, position).await;
        Ok(Self::of(reader.map_err(FollowError)?))
    }

    fn of(reader: OrderedReader) -> Self {
        Self { reader, ready: VecDeque::new(), foreign: RepeatedFault::default() }
    }

    /// The position up to which everything was read, and returned unless [`Self::has_more`].
    #[must_use]
    pub fn position(&self) -> Position {
        self.reader.position()
    }

    /// Whether something was read that was not returned yet.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many envelopes followed the last one that was read, at the time when NATS sent it.
    pub(crate) fn pending(&self) -> u64 {
        self.reader.pending()
    }

    /// Returns what comes next. Waits until faults of NATS have passed. Cancel-safe.
    pub async fn next(&mut self) -> Followed {
        loop {
            if let Some(followed) = self.ready.pop_front() {
                return followed;
            }
            let read = self.reader.read().await;
            self.take_all(read);
        }
    }

    /// Returns the next of what is already stored, or `None` when nothing is left. Cancel-safe.
    pub async fn next_pending(&mut self) -> Result<Option<Followed>, FollowError> {
        loop {
            if let Some(followed) = self.ready.pop_front() {
                return Ok(Some(followed));
            }
            match self.reader.read_pending().await.map_err(FollowError)? {
                Some(read) => self.take_all(read),
                None => return Ok(None),
            }
        }
    }

    fn take_all(&mut self, read: Read) {
        match read {
            Read::Messages(messages) => messages.into_iter().for_each(|delivered| self.take(&delivered)),
            Read::Renewed(epoch) => self.ready.push_back(Followed::Renewed(epoch)),
        }
    }

    fn take(&mut self, delivered: &Delivered) {
        let Delivered { message, sequence, time } = delivered;
        let (subject, sequence) = (message.subject.as_str(), *sequence);
        if let Some(envelope) = StoredEnvelope::from_message(message, sequence, *time) {
            match self.ready.back_mut() {
                Some(Followed::Envelopes(envelopes)) => envelopes.push(envelope),
                _ => self.ready.push_back(Followed::Envelopes(vec![envelope])),
            }
        } else if let Some((tenant, address)) = purged(subject, message.headers.as_ref(), &message.payload) {
            self.ready.push_back(Followed::Purged(tenant, address));
        } else if let Some((tenant, place)) = placed(subject, message.headers.as_ref(), &message.payload) {
            self.ready.push_back(Followed::Placed { tenant, place, sequence });
        } else if !is_fence(subject) {
            self.complain(subject, sequence);
        }
    }

    /// Logs that a message is neither envelope nor notice, at a limited rate.
    fn complain(&mut self, subject: &str, sequence: u64) {
        if let Some(messages) = self.foreign.count(1) {
            tracing::warn!(
                subject,
                sequence,
                messages,
                "skipped messages in the stream of envelopes that Tidings did not write"
            );
        }
    }
}

/// `ENVELOPES` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("stream ENVELOPES cannot be read now")]
pub struct FollowError(#[source] async_nats::Error);

impl FollowError {
    fn new(source: impl Into<async_nats::Error>) -> Self {
        Self(source.into())
    }
}
