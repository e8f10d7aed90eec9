//! Writes `ENVELOPES` for the projector: in order or not at all.
//!
//! Publications are pipelined, and several projectors may believe that they lead. Two guarantees hold nevertheless: *a
//! publication of a writer is stored only if all of the writer's earlier publications are stored right before it*, and
//! a refused publication is refused by every replica. After a refusal the projector opens a new writer, which learns
//! from the headers of the last envelope what is already stored.
//!
//! # What the server is asked to check
//!
//! Every publication carries `Nats-Expected-Last-Sequence`. That alone is not enough: when a message of another
//! publisher takes the place of publication *k*, publication *k* + 1 finds exactly the end that it expects and would be
//! stored without *k*. Therefore a writer begins its *term* with [`ZONE`](crate::nats::fences::ZONE) consecutive
//! fences, messages whose subject names their own sequence, and waits until all of them are stored. Its first message, a
//! notice of the fences, follows them with the expected sequence alone. Every later one, its envelopes, meant for
//! sequence *x*, also expects that the subject of a fence at *x* - 1 is empty
//! (`Nats-Expected-Last-Subject-Sequence: 0`). At most `ZONE` publications of a term are unconfirmed at any time.
//!
//! # Why it holds
//!
//! Suppose the guarantee is broken, and let *x* be the lowest sequence at which an envelope of a term W is stored
//! although not all of W's earlier envelopes are stored right before it. Let *y* < *x* be the lowest sequence, from W's
//! first envelope on, that holds a message that W did not mean for it.
//! 1. The message at *y* is a fence. An envelope of another term V follows either V's own envelope (else *y* would
//!    break the guarantee and be lower than *x*) or V's own last fence; but *y* - 1 is W's.
//! 2. *x* - *y* < `ZONE`: what W meant for *y* was never confirmed, and W stopped after `ZONE` unconfirmed ones.
//! 3. Between *y* and *x* there is an envelope, as W's own at *x* may not follow a fence. The first such, at *z*,
//!    follows a fence, so it is the first of a term V, and *z* - `ZONE` to *z* - 1 are V's fences. So *y* - 1 is a
//!    fence of V, although it is W's: a contradiction, as V, beginning at *z* > *y*, is not W.
//!
//! A message published by hand has no fences before it, so an envelope may be stored after another one that was refused
//! because of that message. Its writer detects this in the answers, [removes the envelope](remove_strays) and sends it
//! again.
//!
//! A stream without any message needs no fences: no earlier term can have written to it. There the first envelope is
//! confirmed before another one is sent. All writers of the stream use this module, also for notices about purges. One
//! fault is not covered here: a store that comes back with less than it had. Publications that were in flight before
//! may then find the sequence that they expect again; readers compare what they remember with the stream.
//!
//! # What replicas check, and when
//!
//! The stream's leader makes all of these checks *before* it proposes the message, against complete state: a leader
//! accepts nothing before it has applied all that its log held when it was elected, and both checks include what is
//! proposed and not yet applied (`mset.clseq`, `mset.inflight` in nats-server). Each publication names the subject of
//! another fence, since nats-server permits only one expectation per subject in flight.
//!
//! A check made when a replica *applies* a message must have the same result on every replica, or the replicas diverge.
//! From the sources of nats-server 2.12.1 and 2.15.1, for all that Tidings sends:
//! - `Nats-Expected-Last-Msg-Id` is compared at apply time, with memory that a replica which caught up from a snapshot
//!   does not have. It is never sent.
//! - `Nats-Msg-Id` is looked up before the proposal only; at apply time it is recorded. Identifiers of proposals that
//!   were never applied are forgotten when the leader changes.
//! - `Nats-Expected-Last-Sequence` and `Nats-Expected-Last-Subject-Sequence` (also of the buckets) are compared before
//!   the proposal only.
//! - `Nats-Rollup: sub` is permitted before the proposal and applied alike on every replica.
//! - `Nats-TTL` is parsed before the proposal. Replicas remove expired messages by their own clocks; no check above
//!   depends on a message that has a TTL.
//! - The size of a message and of its headers is checked before the proposal.
//! - Discarding old messages (`ENVELOPES`, `REJECTED`) never refuses a new one. A full stream that refuses new messages
//!   (`EVENTS` with `events_max_bytes`) is checked before the proposal. nats-server 2.12.1 compares again at apply
//!   time, where replicas may disagree if messages expire differently by their clocks. 2.15.1 does not.
//! - Scheduled messages, counters and atomic batches are not used.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{self, Poll};

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::RawMessageErrorKind;
use bytes::Bytes;
use tidings_model::{Envelope, Place, Tenant, headers};
use time::OffsetDateTime;

use super::place_notice::place_notice;
use super::resume::{Resume, WriteMarkers, last_resume};
use super::stored_envelope::envelope_headers;
use super::take_over;
use super::write_error::WriteError;
use crate::nats::fences::ZONE;
use crate::nats::{fences, set};
use crate::topology::Topology;

/// Appends envelopes to the stream, in order.
pub struct EnvelopeWriter {
    topology: Topology,
    /// The term in which the projector leads; the writer puts it into its messages.
    led_in: Option<u64>,
    term: Term,
    /// The last sequence of the stream once everything sent is stored.
    last_sequence: u64,
    sent: u64,
    confirmed: Arc<AtomicU64>,
}

/// How far a writer has taken over the end of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    /// It has only read the end.
    NotBegun,
    /// The stream ends with its fences and what it wrote behind them.
    Writing,
}

/// A publication in flight; resolves to its sequence when NATS has stored it.
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

/// An envelope to be written.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'e> {
    /// The envelope.
    pub envelope: &'e Envelope,
    /// The generation of the tenant's envelopes.
    pub generation: u32,
    /// Markers for the next writer.
    pub trail: WriteMarkers,
    /// When the stream is to remove it, although it has not expired.
    pub kept_until: Option<OffsetDateTime>,
    /// For an envelope of a rebuild, or one that is sent again after it was removed: the number of the attempt. It
    /// distinguishes this envelope from one that was stored in another attempt and removed, and from that of another
    /// event with the same id, which now lies moments away.
    pub attempt: Option<u64>,
}

impl<'e> From<&'e Envelope> for Outgoing<'e> {
    fn from(envelope: &'e Envelope) -> Self {
        Self { envelope, generation: 0, trail: WriteMarkers::default(), kept_until: None, attempt: None }
    }
}

impl EnvelopeWriter {
    /// The maximum number of unconfirmed publications.
    #[expect(clippy::cast_possible_truncation, reason = "a small constant")]
    pub const MAX_PENDING: usize = ZONE as usize;

    /// Opens a writer at the end of the stream, as its leader has it. Disturbs no other writer until it sends
    /// something.
    pub async fn open(topology: &Topology) -> Result<(Self, Resume), WriteError> {
        // The order matters: an envelope written between the two requests belongs to another writer, and makes the
        // first publication fail.
        let info = topology.envelopes.get_info().await.map_err(WriteError::unavailable)?;
        let resume = last_resume(topology, info.state.first_sequence).await?.unwrap_or_default();
        Ok((Self::at(topology, info.state.last_sequence, Term::NotBegun), resume))
    }

    /// Takes over the end of the stream from any other writer.
    pub(crate) async fn seize(topology: &Topology) -> Result<Self, WriteError> {
        Ok(Self::at(topology, take_over::seize(topology).await?, Term::Writing))
    }

    fn at(topology: &Topology, last_sequence: u64, term: Term) -> Self {
        let (topology, confirmed) = (topology.clone(), Arc::default());
        Self { topology, led_in: None, term, last_sequence, sent: 0, confirmed }
    }

    /// Sets the term of the projector that the following messages carry.
    #[must_use]
    pub fn led_in(self, term: Option<u64>) -> Self {
        Self { led_in: term, ..self }
    }

    /// Whether this writer knows the content of a stream that ends with this sequence.
    #[must_use]
    pub fn is_at(&self, last_sequence: u64) -> bool {
        self.last_sequence == last_sequence
    }

    /// Sends an envelope after all that were sent before.
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

    /// Announces, after all that was sent before, that a tenant's envelopes are in this place from here on.
    pub async fn announce(
        &mut self,
        tenant: &Tenant,
        place: Place,
        trail: WriteMarkers,
    ) -> Result<Pending, WriteError> {
        let (subject, message_id, mut headers) = place_notice(self.topology.shard(), tenant, place);
        trail.write(&mut headers);
        set(&mut headers, headers::MESSAGE_ID, message_id);
        self.publish(subject, headers, Bytes::new()).await
    }

    /// Sends a message after all that were sent before.
    pub(crate) async fn publish(
        &mut self,
        subject: String,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Pending, WriteError> {
        if self.sent - self.confirmed.load(Ordering::Relaxed) >= ZONE {
            return Err(WriteError::Unconfirmed);
        }
        if self.term == Term::NotBegun && self.last_sequence > 0 {
            self.last_sequence = take_over::take_over(&self.topology, self.last_sequence).await?;
            self.term = Term::Writing;
        }
        set(&mut headers, headers::EXPECTED_LAST_SEQUENCE, self.last_sequence.to_string());
        if let Some(term) = self.led_in {
            set(&mut headers, headers::TERM, term.to_string());
        }
        if self.term == Term::Writing {
            let before = fences::fence(self.topology.shard(), self.last_sequence);
            set(&mut headers, headers::EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
            set(&mut headers, headers::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, before);
        }
        let sent = self.topology.context.publish_with_headers(subject, headers, body).await;
        let mut stage = Stage::Sent(sent.map_err(WriteError::from_publish)?.into_future());
        if self.term == Term::NotBegun
            && let Stage::Sent(first) = stage
        {
            // The first message of the stream is its own fence, so no other may be in flight after it.
            let stored = first.await.map_err(WriteError::from_publish)?;
            stage = Stage::Known(Some(Ok(stored)));
        }
        self.term = Term::Writing;
        self.last_sequence += 1;
        self.sent += 1;
        Ok(Pending { stage, confirmed: Arc::clone(&self.confirmed) })
    }
}

/// Removes envelopes that were stored after a refused one. That happens only when a message is published into the
/// stream by hand, beside its writers: no fence then shows that the end has moved.
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
