//! The projector's writing of `ENVELOPES`: in order or not at all.
//!
//! Every publication names the sequence that the stream must end with, and, but for a writer's
//! first, the message that must lie there: the one sent before it. Publications are pipelined, and
//! the sequence alone would not do: after a refusal, others' messages may make the stream grow to
//! what one further back expects, which would then be stored without those before it. So if one is
//! lost, all behind it are refused, and so is everything that a writer sends after another one has
//! written something else. Whoever is refused opens the writer anew and learns from the last
//! envelope's headers what is already there.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{self, Poll};

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::RawMessageErrorKind;
use bytes::Bytes;
use tidings_model::{Envelope, EnvelopeSubject, Origin, Place, Position, ShardNumber, Tenant, headers};
use time::OffsetDateTime;

use crate::at_leader;
use crate::convert::{envelope_headers, resume, set};
use crate::placements::{any_place, place_notice};
use crate::topology::Topology;

/// Appends envelopes to the stream.
pub struct EnvelopeWriter {
    context: Context,
    shard: ShardNumber,
    /// What the stream ends with once everything sent has arrived.
    last_sequence: u64,
    /// The message that this writer has sent last.
    last_message_id: Option<String>,
}

/// A publication under way; resolves to its sequence when NATS has stored it.
pub struct Pending(<PublishAckFuture as IntoFuture>::IntoFuture);

impl Future for Pending {
    type Output = Result<u64, WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        let stored = task::ready!(self.0.as_mut().poll(context));
        Poll::Ready(stored.map(|stored| stored.sequence).map_err(WriteError::from_publish))
    }
}

/// An envelope on its way into the stream.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'e> {
    /// The envelope.
    pub envelope: &'e Envelope,
    /// Which making of its tenant's envelopes it belongs to.
    pub generation: u32,
    /// What it tells whoever comes behind.
    pub trail: Trail,
    /// The stream is to remove it then, though it has not expired.
    pub kept_until: Option<OffsetDateTime>,
    /// For one that is made anew: in which attempt. What was stored in another attempt, and removed, is not taken for
    /// this one, and neither is another event of the same id, which lies moments away from it now.
    pub attempt: Option<u64>,
}

impl<'e> From<&'e Envelope> for Outgoing<'e> {
    fn from(envelope: &'e Envelope) -> Self {
        Self { envelope, generation: 0, trail: Trail::default(), kept_until: None, attempt: None }
    }
}

/// What an envelope tells whoever takes up writing behind it, besides its own origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trail {
    /// For one that was held back or is made anew, and for a notice: everything of the events up to here was written
    /// before it, or is held back.
    pub through: Option<Position>,
    /// The sequence of the oldest event of which something was held back when this envelope was put in line.
    pub held_from: Option<u64>,
}

impl Trail {
    fn write(self, map: &mut HeaderMap) {
        if let Some(through) = self.through {
            set(map, headers::THROUGH, through.to_string());
        }
        if let Some(held_from) = self.held_from {
            set(map, headers::HELD_FROM, held_from.to_string());
        }
    }
}

/// What the stream already holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resume {
    /// Everything up to here was written or is held back; `None` if the stream is empty.
    pub after: Option<Origin>,
    /// The oldest event of which something was held back.
    pub held_from: Option<u64>,
}

impl Resume {
    /// Whether an envelope of this origin is still to be written. Origins of another epoch of
    /// `EVENTS` tell nothing about this one.
    #[must_use]
    pub fn wants(&self, origin: Origin) -> bool {
        let Some(after) = self.after else { return true };
        after.event.epoch != origin.event.epoch
            || (origin.event.sequence, origin.part) > (after.event.sequence, after.part)
    }
}

impl EnvelopeWriter {
    /// How many publications may be under way. The client library hands out a permit for each and
    /// waits for one to come back when 5,000 are out, which none does while nobody awaits them.
    pub const MAX_PENDING: usize = 4_096;

    /// Takes up writing at the end of the stream, as it is at its leader.
    pub async fn open(topology: &Topology) -> Result<(Self, Resume), WriteError> {
        // In this order: an envelope written in between belongs to another writer, and the first
        // publication is refused because of it.
        let info = topology.envelopes.get_info().await.map_err(WriteError::unavailable)?;
        let resume = last_resume(topology, info.state.first_sequence).await?.unwrap_or_default();
        let (context, shard) = (topology.context.clone(), topology.shard());
        let last_sequence = info.state.last_sequence;
        Ok((Self { context, shard, last_sequence, last_message_id: None }, resume))
    }

    /// Whether this writer knows what the stream holds that ends with this sequence.
    #[must_use]
    pub fn is_at(&self, last_sequence: u64) -> bool {
        self.last_sequence == last_sequence
    }

    /// Sends an envelope behind all that were sent before.
    pub async fn send(
        &mut self,
        outgoing: impl Into<Outgoing<'_>>,
        now: OffsetDateTime,
    ) -> Result<Pending, WriteError> {
        let Outgoing { envelope, generation, trail, kept_until, attempt } = outgoing.into();
        let place = Place { shard: self.shard, generation };
        let mut headers = envelope_headers(envelope, kept_until, now);
        trail.write(&mut headers);
        let subject = envelope.subject.written_in(place);
        let message_id = match attempt {
            Some(attempt) => envelope.rebuilt_message_id(place, attempt),
            None => envelope.message_id(place),
        };
        self.publish(subject, message_id, headers, envelope.body.clone()).await
    }

    /// Tells, behind all that was sent before, that a tenant's envelopes are in this place from here on.
    pub async fn announce(
        &mut self,
        tenant: &Tenant,
        place: Place,
        trail: Trail,
    ) -> Result<Pending, WriteError> {
        let (subject, message_id, mut headers) = place_notice(self.shard, tenant, place);
        trail.write(&mut headers);
        self.publish(subject, message_id, headers, Bytes::new()).await
    }

    async fn publish(
        &mut self,
        subject: String,
        message_id: String,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Pending, WriteError> {
        set(&mut headers, headers::MESSAGE_ID, message_id.as_str());
        set(&mut headers, headers::EXPECTED_LAST_SEQUENCE, self.last_sequence.to_string());
        if let Some(last) = &self.last_message_id {
            set(&mut headers, headers::EXPECTED_LAST_MESSAGE_ID, last.as_str());
        }
        let sent = self.context.publish_with_headers(subject, headers, body).await;
        let acknowledged = sent.map_err(WriteError::from_publish)?;
        self.last_sequence += 1;
        self.last_message_id = Some(message_id);
        Ok(Pending(acknowledged.into_future()))
    }
}

/// What the last message says, envelope or notice, that was written by a projector. Looks behind what somebody else
/// put into the stream: taking its end for empty would have written what is there once more.
async fn last_resume(topology: &Topology, first_sequence: u64) -> Result<Option<Resume>, WriteError> {
    let (envelopes, shard) = (&topology.envelopes, topology.shard());
    let envelope = last_on(topology, &EnvelopeSubject::all(shard)).await?;
    let notice = last_on(topology, &any_place(shard)).await?;
    let Some(last) = envelope.into_iter().chain(notice).max_by_key(|message| message.sequence) else {
        return Ok(None);
    };
    if let Some(resume) = resume(&last.headers) {
        return Ok(Some(resume));
    }
    let mut sequence = last.sequence;
    tracing::warn!(sequence, "stream ENVELOPES ends with a message that no projector wrote");
    while sequence > first_sequence {
        sequence -= 1;
        match envelopes.get_raw_message(sequence).await {
            Ok(message) => {
                if let Some(resume) = resume(&message.headers) {
                    return Ok(Some(resume));
                }
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {}
            Err(error) => return Err(WriteError::unavailable(error)),
        }
    }
    Ok(None)
}

async fn last_on(topology: &Topology, subject: &str) -> Result<Option<StreamMessage>, WriteError> {
    at_leader::last(&topology.envelopes, subject).await.map_err(WriteError::unavailable)
}

/// Why an envelope was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The stream does not end where this writer thinks: another one wrote, or a publication
    /// before this one was lost.
    #[error("the stream ENVELOPES does not end where this writer left it")]
    LostPlace,
    /// NATS is slow, has no leader, or is away.
    #[error("stream ENVELOPES cannot be written now")]
    Unavailable(#[source] async_nats::Error),
}

impl WriteError {
    fn unavailable(error: impl Into<async_nats::Error>) -> Self {
        Self::Unavailable(error.into())
    }

    fn from_publish(error: PublishError) -> Self {
        match error.kind() {
            PublishErrorKind::WrongLastSequence | PublishErrorKind::WrongLastMessageId => Self::LostPlace,
            _ => Self::unavailable(error),
        }
    }
}
