//! The projector's writing of `ENVELOPES`: in order or not at all.
//!
//! Publications are pipelined, and several projectors may believe that they lead. Two promises hold nevertheless:
//! *no publication of a writer is stored unless all that it sent before are stored right before it*, and whatever is
//! refused is refused in every replica alike. Whoever is refused opens the writer again and learns from the last
//! envelope's headers what is already there.
//!
//! # What the server is asked to check
//!
//! Every publication carries `Nats-Expected-Last-Sequence`. That alone would not do: when a message of somebody else
//! takes the place of publication *k*, publication *k* + 1 finds exactly the end that it expects and would be stored
//! without *k*. So a writer begins its *term* with [`fence::ZONE`](crate::fence::ZONE) fences in a row, messages whose
//! subject names their own sequence, and waits until all of them are stored. Its first message, a notice of the fences,
//! follows them with the expected sequence alone; every later one, its envelopes, meant for sequence *x*, also expects that the subject of a fence at
//! *x* - 1 is empty (`Nats-Expected-Last-Subject-Sequence: 0`). At most `ZONE` publications of a term are
//! unconfirmed at any time.
//!
//! # Why it holds
//!
//! Suppose the promise is broken, and let *x* be the lowest sequence at which an envelope of a term W lies although
//! not all of W's earlier envelopes lie right before it. Let *y* < *x* be the lowest sequence, from W's first envelope
//! on, that holds a message that W did not mean for it.
//! 1. The message at *y* is a fence. An envelope of another term V follows either V's own envelope (else *y* would
//!    break the promise and be lower than *x*) or V's own last fence; but *y* - 1 is W's.
//! 2. *x* - *y* < `ZONE`: what W meant for *y* was never confirmed, and W stopped after `ZONE` unconfirmed ones.
//! 3. Between *y* and *x* lies an envelope, as W's own at *x* may not follow a fence. The first such, at *z*, follows a
//!    fence, so it is the first of a term V, and *z* - `ZONE` to *z* - 1 are V's fences. So *y* - 1 is a fence of V,
//!    although it is W's: a contradiction, as V, beginning at *z* > *y*, is not W.
//!
//! Somebody who puts a message into the stream by hand takes no fences, so an envelope may be stored behind one that was
//! refused because of it. Its writer learns that from the answers, [removes it](remove_strays) and sends it again.
//!
//! A stream without any message needs no fences: nobody can have had a term in it. There the first envelope is
//! confirmed before another one is sent. All writers of the stream go through here, also those of notices about purges.
//! What this cannot see is a store that comes back with less than it had: publications that were in flight before may
//! then meet a sequence once more; readers compare what they remember with what there is.
//!
//! # What replicas judge, and when
//!
//! Everything above is checked by the stream's leader *before* the message is proposed, against a state that it has
//! whole: a leader accepts nothing before it has applied all that its log held when it was elected, and both checks
//! regard what is proposed and not yet applied (`mset.clseq`, `mset.inflight` in nats-server). The subject of a fence is
//! another one for each publication, since nats-server lets only one expectation per subject be in flight.
//!
//! What is judged when a replica *applies* a message must have the same outcome on every replica, or they part. Found in
//! the sources of nats-server 2.12.1 and 2.15.1, for all that Tidings sends:
//! - `Nats-Expected-Last-Msg-Id` is compared at apply time, with a memory that a replica which caught up from a
//!   snapshot does not have. It is never sent.
//! - `Nats-Msg-Id` is looked up before the proposal only; at apply time it is recorded. Identifiers of proposals that
//!   were never applied are forgotten when the leader changes.
//! - `Nats-Expected-Last-Sequence` and `Nats-Expected-Last-Subject-Sequence` (also of the buckets) are compared before
//!   the proposal only.
//! - `Nats-Rollup: sub` is permitted before the proposal and applied alike everywhere.
//! - `Nats-TTL` is parsed before the proposal. Replicas remove what has expired by their own clocks; no check above
//!   depends on a message that has a TTL.
//! - The size of a message and of its headers is checked before the proposal.
//! - Discarding what is old (`ENVELOPES`, `REJECTED`) never refuses. A full stream that refuses what is new (`EVENTS`
//!   with `events_max_bytes`) is judged before the proposal; nats-server 2.12.1 compares again at apply time, where
//!   replicas whose clocks let messages expire differently may disagree. 2.15.1 does not.
//! - Scheduled messages, counters and atomic batches are not used.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{self, Poll};

use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::RawMessageErrorKind;
use bytes::Bytes;
use tidings_model::{Envelope, EnvelopeSubject, Origin, Place, Position, Tenant, headers};
use time::OffsetDateTime;

use crate::at_leader;
use crate::convert::{envelope_headers, resume, set};
use crate::fence;
use crate::placements::{any_place, place_notice};
use crate::publish::{code, is_permanent};
use crate::topology::Topology;

/// Appends envelopes to the stream.
pub struct EnvelopeWriter {
    topology: Topology,
    /// The term in which its projector leads, which what it writes says.
    led_in: Option<u64>,
    term: Term,
    /// What the stream ends with once everything sent has arrived.
    last_sequence: u64,
    sent: u64,
    confirmed: Arc<AtomicU64>,
}

/// How far a writer has made the end of the stream its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    /// It has only looked.
    NotBegun,
    /// The stream ends with its fences and what it wrote behind them.
    Writing,
}

/// A publication under way; resolves to its sequence when NATS has stored it.
pub struct Pending {
    stage: Stage,
    confirmed: Arc<AtomicU64>,
}

enum Stage {
    Sent(<PublishAckFuture as IntoFuture>::IntoFuture),
    Known(Option<Result<PublishAck, WriteError>>),
}

impl Future for Pending {
    type Output = Result<u64, WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        let stored = match &mut self.stage {
            Stage::Sent(sent) => task::ready!(sent.as_mut().poll(context)).map_err(WriteError::from_publish),
            Stage::Known(stored) => stored.take().unwrap_or(Err(WriteError::LostPlace)),
        };
        Poll::Ready(stored.and_then(|stored| {
            if stored.duplicate {
                return Err(WriteError::Repeated);
            }
            self.confirmed.fetch_add(1, Ordering::Relaxed);
            Ok(stored.sequence)
        }))
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
    /// For one that is made anew, or sent again after it was removed: in which attempt. What was stored in another attempt, and removed, is not taken for
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
    /// When the message was stored that says so.
    pub stored_at: Option<OffsetDateTime>,
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
    /// How many publications may be unconfirmed.
    #[expect(clippy::cast_possible_truncation, reason = "a small constant")]
    pub const MAX_PENDING: usize = fence::ZONE as usize;

    /// Takes up writing at the end of the stream, as it is at its leader. Disturbs nobody before something is sent.
    pub async fn open(topology: &Topology) -> Result<(Self, Resume), WriteError> {
        // In this order: an envelope written in between belongs to another writer, and the first
        // publication is refused because of it.
        let info = topology.envelopes.get_info().await.map_err(WriteError::unavailable)?;
        let resume = last_resume(topology, info.state.first_sequence).await?.unwrap_or_default();
        Ok((Self::at(topology, info.state.last_sequence, Term::NotBegun), resume))
    }

    /// Takes the end of the stream from whoever writes there.
    pub(crate) async fn seize(topology: &Topology) -> Result<Self, WriteError> {
        Ok(Self::at(topology, fence::seize(topology).await?, Term::Writing))
    }

    fn at(topology: &Topology, last_sequence: u64, term: Term) -> Self {
        let (topology, confirmed) = (topology.clone(), Arc::default());
        Self { topology, led_in: None, term, last_sequence, sent: 0, confirmed }
    }

    /// What is written from here on says that its projector led in this term.
    #[must_use]
    pub fn led_in(self, term: Option<u64>) -> Self {
        Self { led_in: term, ..self }
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
        let place = Place { shard: self.topology.shard(), generation };
        let mut headers = envelope_headers(envelope, kept_until, now);
        trail.write(&mut headers);
        let subject = envelope.subject.written_in(place);
        let message_id = match attempt {
            Some(attempt) => envelope.rebuilt_message_id(place, attempt),
            None => envelope.message_id(place),
        };
        set(&mut headers, headers::MESSAGE_ID, message_id);
        self.publish(subject, headers, envelope.body.clone()).await
    }

    /// Tells, behind all that was sent before, that a tenant's envelopes are in this place from here on.
    pub async fn announce(
        &mut self,
        tenant: &Tenant,
        place: Place,
        trail: Trail,
    ) -> Result<Pending, WriteError> {
        let (subject, message_id, mut headers) = place_notice(self.topology.shard(), tenant, place);
        trail.write(&mut headers);
        set(&mut headers, headers::MESSAGE_ID, message_id);
        self.publish(subject, headers, Bytes::new()).await
    }

    /// Sends a message behind all that were sent before.
    pub(crate) async fn publish(
        &mut self,
        subject: String,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Pending, WriteError> {
        if self.sent - self.confirmed.load(Ordering::Relaxed) >= fence::ZONE {
            return Err(WriteError::Unconfirmed);
        }
        if self.term == Term::NotBegun && self.last_sequence > 0 {
            self.last_sequence = fence::take_over(&self.topology, self.last_sequence).await?;
            self.term = Term::Writing;
        }
        set(&mut headers, headers::EXPECTED_LAST_SEQUENCE, self.last_sequence.to_string());
        if let Some(term) = self.led_in {
            set(&mut headers, headers::TERM, term.to_string());
        }
        if self.term == Term::Writing {
            let before = fence::fence(self.topology.shard(), self.last_sequence);
            set(&mut headers, headers::EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
            set(&mut headers, headers::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, before);
        }
        let sent = self.topology.context.publish_with_headers(subject, headers, body).await;
        let mut stage = Stage::Sent(sent.map_err(WriteError::from_publish)?.into_future());
        if self.term == Term::NotBegun
            && let Stage::Sent(first) = stage
        {
            // The first message of the stream is its own fence, so nothing may be under way behind it.
            let stored = first.await.map_err(WriteError::from_publish)?;
            stage = Stage::Known(Some(Ok(stored)));
        }
        self.term = Term::Writing;
        self.last_sequence += 1;
        self.sent += 1;
        Ok(Pending { stage, confirmed: Arc::clone(&self.confirmed) })
    }
}

/// Removes envelopes that were stored behind one that was refused. That happens only to who writes into the stream beside
/// its writers, by hand; from whom no fence tells that the end is not the writer's any more.
pub async fn remove_strays(topology: &Topology, sequences: &[u64]) -> Result<(), WriteError> {
    for sequence in sequences {
        let Err(error) = topology.envelopes.delete_message(*sequence).await else { continue };
        match topology.envelopes.get_raw_message(*sequence).await {
            Err(gone) if gone.kind() == RawMessageErrorKind::NoMessageFound => {}
            _ => return Err(WriteError::unavailable(error)),
        }
    }
    Ok(())
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
        return Ok(Some(Resume { stored_at: Some(last.time), ..resume }));
    }
    let mut sequence = last.sequence;
    tracing::warn!(sequence, "stream ENVELOPES ends with a message that no projector wrote");
    while sequence > first_sequence {
        sequence -= 1;
        match envelopes.get_raw_message(sequence).await {
            Ok(message) => {
                if let Some(resume) = resume(&message.headers) {
                    return Ok(Some(Resume { stored_at: Some(message.time), ..resume }));
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
    /// It was stored before, so it has not taken the place that was meant for it, and nothing sent behind it will be stored.
    #[error("the stream ENVELOPES holds the message already")]
    Repeated,
    /// More would be under way than fences keep out.
    #[error("{} publications are not confirmed yet; no more may be under way", fence::ZONE)]
    Unconfirmed,
    /// The stream will not take it, however often it is sent.
    #[error("stream ENVELOPES does not take the message")]
    Refused(#[source] PublishError),
    /// NATS is slow, has no leader, or is away.
    #[error("stream ENVELOPES cannot be written now")]
    Unavailable(#[source] async_nats::Error),
}

impl WriteError {
    pub(crate) fn unavailable(error: impl Into<async_nats::Error>) -> Self {
        Self::Unavailable(error.into())
    }

    pub(crate) fn from_publish(error: PublishError) -> Self {
        match error.kind() {
            PublishErrorKind::WrongLastSequence => Self::LostPlace,
            _ if code(&error) == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT) => Self::LostPlace,
            _ if is_permanent(&error) => Self::Refused(error),
            _ => Self::unavailable(error),
        }
    }
}
