//! Writes `ENVELOPES` for the projector: in order or not at all.
//!
//! Publications are pipelined, and several projectors may believe that they lead. Two guarantees hold nevertheless: *a
//! publication of a writer is stored only if all of the writer's earlier publications are stored right before it*, and
//! a refused publication is refused by every replica. After a refusal the projector opens a new writer, which learns
//! from the headers of the last envelope what is already stored.
//!
//! # What the server is asked to check
//!
//! Publications are sent at once, as the numbered messages of a *batch* of fast ingest (NATS ADR-50) that permits no
//! gap. Each also carries `Nats-Expected-Last-Sequence`. NATS confirms each of them, or under load many with one answer;
//! then a pause or a wish to know ends the batch, and the end is answered when all of it is stored. Another batch begins
//! only when everything of the writer is confirmed. At most [`EnvelopeWriter::MAX_PENDING`] publications are
//! unconfirmed.
//!
//! # Why it holds
//!
//! The expected sequence alone is not enough: when a message of another publisher takes the place of publication *k*,
//! publication *k* + 1 finds exactly the end that it expects. The number in the batch is what keeps it out.
//! 1. *Within a batch.* The stream's leader takes message *n* only if the last message of the batch that it proposed in
//!    its term, or had applied when its term began, is *n* - 1. A message that it refuses is not counted, and ends the
//!    batch. Proposals of one term are stored in their order, or from some point on not at all. So *n* - 1 is stored
//!    if *n* is; and right before it, because *n* expects the sequence at which *n* - 1 was to be stored.
//! 2. *Between batches.* The first message of a batch expects the sequence of the last one of the batch before, which is
//!    confirmed, and so are all before it. The first batch of a writer expects the end of the stream that it has read.
//! 3. *A change of the leader.* A replica knows of a batch only what it has applied: it notes the number when it stores
//!    the message. At the beginning of a term, the leader sets each batch back to that; what it had counted in an
//!    earlier term and did not store is forgotten. A replica that has restarted or has caught up from a snapshot, so
//!    that it lacks some numbers, lacks the last ones or knows nothing of the batch: then it takes no message of it but
//!    the first, and that one expects an end of the stream that is past. The same holds for a batch that the server
//!    has forgotten, 10 s after its last message.
//! 4. *A lost connection.* The client library drops what it had written to the former connection and sends what follows,
//!    so a gap is all that can come. Messages that arrived twice or late would not be taken either: each number is taken
//!    once.
//!
//! Nobody else need cooperate: whatever else is published to the stream, by another writer, by a purge or by hand, makes
//! the batch end. It also needs nothing that a replica decides when it applies a message, since a number is noted but
//! not compared there.
//!
//! A message may be counted and then not proposed, if the leader's term ends in that moment. All that follows it in this
//! term fails alike, and the next term sets the count back. nats-server reads its term shortly before it counts: the
//! count would be wrong if the same server lost and won leadership in between. Even then, the next message would be
//! refused for its expected sequence, unless one of another publisher had just taken the place. Another fault is not
//! covered: a store that comes back with less than it had. Readers compare what they remember with the stream.
//!
//! # What replicas check, and when
//!
//! The stream's leader makes all checks *before* it proposes the message, against complete state: a leader accepts
//! nothing before it has applied all that its log held when it was elected, and the expected sequence includes what is
//! proposed and not yet applied (`mset.clseq` in nats-server).
//!
//! A check made when a replica *applies* a message must have the same result on every replica, or the replicas diverge.
//! From the sources of nats-server 2.14.0 and 2.15.1, for all that Tidings sends:
//! - `Nats-Expected-Last-Msg-Id` is compared at apply time, with memory that a replica which caught up from a snapshot
//!   does not have. It is never sent.
//! - `Nats-Msg-Id` is looked up before the proposal only; at apply time it is recorded. Identifiers of proposals that
//!   were never applied are forgotten when the leader changes. Envelopes have none: a duplicate would be skipped, but
//!   counted in its batch.
//! - `Nats-Expected-Last-Sequence` and `Nats-Expected-Last-Subject-Sequence` (of the buckets) are compared before the
//!   proposal only.
//! - The number of a message in its batch is compared before the proposal only; at apply time it is noted.
//! - `Nats-Rollup: sub` is permitted before the proposal and applied alike on every replica.
//! - `Nats-TTL` is parsed before the proposal. Replicas remove expired messages by their own clocks; no check above
//!   depends on a message that has a TTL.
//! - The size of a message and of its headers is checked before the proposal.
//! - Discarding old messages (`ENVELOPES`, `REJECTED`) never refuses a new one. A full stream that refuses new messages
//!   (`EVENTS` with `events_max_bytes`) is checked before the proposal.
//! - Scheduled messages, counters and atomic batches are not used.

use std::future::pending;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use tidings_model::{Place, Tenant, headers};
use time::OffsetDateTime;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::batch::Batch;
use super::outgoing::Outgoing;
use super::place_notice::place_notice;
use super::resume::{Resume, WriteMarkers, last_resume};
use super::timing::{Due, Phase, Timing};
use super::write_error::WriteError;
use crate::nats::fast_ingest::FastIngest;
use crate::nats::set;
use crate::topology::Topology;
use crate::topology::subjects::end_of_batch;

/// How many publications one answer of NATS confirms at most, under load.
const FLOW: usize = 64;
/// How often the writer looks whether it is to ask NATS to confirm.
const PULSE: Duration = Duration::from_millis(10);

/// Appends envelopes to the stream, in order.
pub struct EnvelopeWriter {
    topology: Topology,
    /// The term in which the projector leads; the writer puts it into its messages.
    led_in: Option<u64>,
    /// The maximum number of unconfirmed publications.
    window: usize,
    /// Opened with the first publication.
    ingest: Option<FastIngest>,
    state: State,
    /// Publications are many: one answer may confirm several.
    is_busy: bool,
    /// Everything up to here was reported as stored.
    reported: u64,
    /// The last sequence of the stream once everything sent is stored.
    last_sequence: u64,
    timing: Timing,
    pulse: Interval,
}

enum State {
    /// Everything sent is stored.
    Idle,
    /// A batch is in progress.
    Writing(Batch),
    /// The writer takes nothing more. The error is `None` when it was returned.
    Failed { stored: u64, error: Option<WriteError> },
    /// What is in flight does not matter any more.
    Abandoned,
}

impl EnvelopeWriter {
    /// The maximum number of unconfirmed publications.
    pub const MAX_PENDING: usize = 512;

    /// Opens a writer at the end of the stream, as its leader has it. Disturbs no other writer until it sends
    /// something.
    pub async fn open(topology: &Topology) -> Result<(Self, Resume), WriteError> {
        // The order matters: an envelope written between the two requests belongs to another writer, and makes the
        // first publication fail.
        let info = topology.envelopes.get_info().await.map_err(WriteError::unavailable)?;
        let resume = last_resume(topology, info.state.first_sequence).await?.unwrap_or_default();
        let last_sequence = info.state.last_sequence;
        let mut pulse = interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let writer = Self {
            topology: topology.clone(),
            led_in: None,
            window: Self::MAX_PENDING,
            ingest: None,
            state: State::Idle,
            is_busy: false,
            reported: last_sequence,
            last_sequence,
            timing: Timing::new(Instant::now()),
            pulse,
        };
        Ok((writer, resume))
    }

    /// Sets the term of the projector that the following messages carry.
    #[must_use]
    pub fn led_in(self, term: Option<u64>) -> Self {
        Self { led_in: term, ..self }
    }

    /// Sets the maximum number of unconfirmed publications, if it is less than [`EnvelopeWriter::MAX_PENDING`].
    #[must_use]
    pub fn with_window(self, window: usize) -> Self {
        Self { window: window.clamp(1, Self::MAX_PENDING), ..self }
    }

    /// Whether this writer knows the content of a stream that ends with this sequence.
    #[must_use]
    pub fn is_at(&self, last_sequence: u64) -> bool {
        self.last_sequence == last_sequence
    }

    /// Whether a publication can be sent now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        match &self.state {
            State::Idle => true,
            State::Writing(batch) => !batch.is_ending() && batch.has_room(self.window),
            State::Failed { .. } | State::Abandoned => false,
        }
    }

    /// The number of publications that [`EnvelopeWriter::stored`] has not returned.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        let unconfirmed = usize::try_from(self.last_sequence - self.reported).unwrap_or(usize::MAX);
        if matches!(self.state, State::Abandoned) { 0 } else { unconfirmed }
    }

    /// Sends an envelope after all that were sent before; returns the sequence at which it is stored, or not at all.
    pub async fn send(
        &mut self,
        outgoing: impl Into<Outgoing<'_>>,
        now: OffsetDateTime,
    ) -> Result<u64, WriteError> {
        let outgoing = outgoing.into();
        let (subject, headers) = outgoing.message(self.topology.shard(), now);
        self.publish(subject, headers, outgoing.envelope.body.clone()).await
    }

    /// Announces, after all that was sent before, that a tenant's envelopes are in this place from here on.
    pub async fn announce(
        &mut self,
        tenant: &Tenant,
        place: Place,
        trail: WriteMarkers,
    ) -> Result<u64, WriteError> {
        let (subject, mut headers) = place_notice(self.topology.shard(), tenant, place);
        trail.write(&mut headers);
        self.publish(subject, headers, Bytes::new()).await
    }

    /// Waits until more is stored, and returns the sequences of that, in order; pending for ever if nothing is
    /// unconfirmed. After an error it takes no more, and what is unconfirmed may be stored or not. Cancel-safe.
    pub async fn stored(&mut self) -> Result<RangeInclusive<u64>, WriteError> {
        loop {
            let stored = self.stored_through();
            if stored > self.reported {
                let first = self.reported + 1;
                self.reported = stored;
                return Ok(first..=stored);
            }
            match &mut self.state {
                State::Writing(batch) if batch.unconfirmed() > 0 => self.advance().await,
                State::Failed { error, .. } => return Err(error.take().unwrap_or(WriteError::LostPlace)),
                State::Idle | State::Writing(_) | State::Abandoned => return pending().await,
            }
        }
    }

    /// Asks NATS to confirm everything that was sent. If it has to end the batch for that, nothing can be sent until it
    /// is done. Cancel-safe.
    pub async fn ask(&mut self) -> Result<(), WriteError> {
        let answers_each = self.ingest.as_ref().is_none_or(FastIngest::answers_each);
        match &self.state {
            State::Writing(batch) if !answers_each && !batch.is_ending() && batch.unconfirmed() > 0 => {
                self.is_busy = false;
                self.end().await
            }
            _ => Ok(()),
        }
    }

    /// Ends the batch. Cancel-safe.
    async fn end(&mut self) -> Result<(), WriteError> {
        let (State::Writing(batch), Some(ingest)) = (&mut self.state, &self.ingest) else { return Ok(()) };
        let subject = end_of_batch(self.topology.shard());
        ingest.end(batch.next(), subject).await.map_err(WriteError::from_publish)?;
        batch.note_ending();
        self.timing.note_asked(Instant::now());
        Ok(())
    }

    /// Waits until everything that was sent is stored.
    pub async fn confirm(&mut self) -> Result<(), WriteError> {
        self.ask().await?;
        while self.unconfirmed() > 0 {
            self.stored().await?;
        }
        Ok(())
    }

    /// Takes nothing more, and forgets what is in flight: it may be stored or not.
    pub fn abandon(&mut self) {
        self.state = State::Abandoned;
    }

    fn stored_through(&self) -> u64 {
        match &self.state {
            State::Idle => self.last_sequence,
            State::Writing(batch) => batch.stored_through(),
            State::Failed { stored, .. } => *stored,
            State::Abandoned => self.reported,
        }
    }

    /// Sends a message after all that were sent before.
    async fn publish(
        &mut self,
        subject: String,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<u64, WriteError> {
        while let State::Writing(batch) = &self.state {
            if !batch.has_room(self.window) {
                return Err(WriteError::Unconfirmed { window: self.window });
            }
            if !batch.is_ending() {
                break;
            }
            self.advance().await;
        }
        set(&mut headers, headers::EXPECTED_LAST_SEQUENCE, self.last_sequence.to_string());
        if let Some(term) = self.led_in {
            set(&mut headers, headers::TERM, term.to_string());
        }
        let (number, ingest) = self.next_number().await?;
        ingest.send(number, subject, headers, body).await.map_err(WriteError::from_publish)?;
        self.note_sent();
        if let Err(error) = self.get_busy().await {
            self.fail(error);
        }
        Ok(self.last_sequence)
    }

    /// Ends a batch in which each publication is confirmed, when half of the window is unconfirmed.
    async fn get_busy(&mut self) -> Result<(), WriteError> {
        let State::Writing(batch) = &self.state else { return Ok(()) };
        if self.is_busy || self.flow_when_busy() == 1 || batch.has_room(self.window.div_ceil(2)) {
            return Ok(());
        }
        self.is_busy = true;
        self.end().await
    }

    fn flow_when_busy(&self) -> usize {
        (self.window / 4).clamp(1, FLOW)
    }

    /// The number of the next message in its batch; begins a batch if none is in progress.
    async fn next_number(&mut self) -> Result<(u64, &FastIngest), WriteError> {
        let flow = if self.is_busy { self.flow_when_busy() } else { 1 };
        let ingest = match &mut self.ingest {
            Some(ingest) => ingest,
            none => {
                let opened = FastIngest::open(self.topology.client()).await;
                none.insert(opened.map_err(WriteError::unavailable)?)
            }
        };
        match &self.state {
            State::Writing(batch) if batch.unconfirmed() > 0 || self.timing.is_continued(Instant::now()) => {}
            State::Idle | State::Writing(_) => {
                ingest.begin(flow);
                self.state = State::Writing(Batch::after(self.last_sequence));
            }
            State::Failed { .. } | State::Abandoned => return Err(WriteError::LostPlace),
        }
        let State::Writing(batch) = &self.state else { return Err(WriteError::LostPlace) };
        Ok((batch.next(), ingest))
    }

    fn note_sent(&mut self) {
        let State::Writing(batch) = &mut self.state else { return };
        self.timing.note_sent(batch.unconfirmed() == 0, Instant::now());
        batch.note_sent();
        self.last_sequence += 1;
    }

    /// Waits for an answer, or until it is time to ask for one. Cancel-safe.
    async fn advance(&mut self) {
        let Some(ingest) = &mut self.ingest else { return };
        let answer = tokio::select! {
            biased;
            answer = ingest.answer() => answer,
            _ = self.pulse.tick() => {
                if let Err(error) = self.ask_in_time().await {
                    self.fail(error);
                }
                return;
            }
        };
        let State::Writing(batch) = &mut self.state else { return };
        let before = batch.unconfirmed();
        let taken = match answer {
            Some(answer) => batch.take(answer),
            None => Err(WriteError::unavailable("the connection to NATS has ended")),
        };
        if batch.unconfirmed() < before {
            self.timing.note_confirmed(Instant::now());
        }
        let is_over = batch.is_ending() && batch.unconfirmed() == 0;
        match taken {
            Err(error) => self.fail(error),
            Ok(()) if is_over => self.state = State::Idle,
            Ok(()) => {}
        }
    }

    /// Asks NATS to confirm what is unconfirmed for long, and fails if it does not.
    async fn ask_in_time(&mut self) -> Result<(), WriteError> {
        let (State::Writing(batch), Some(ingest)) = (&self.state, &self.ingest) else { return Ok(()) };
        let phase = match batch.is_ending() {
            true => Phase::Ending,
            false if ingest.answers_each() => Phase::Each,
            false => Phase::Several,
        };
        match self.timing.due(phase, Instant::now()) {
            Due::GiveUp => return Err(WriteError::unavailable("NATS did not confirm what was sent to it")),
            Due::Nothing if phase == Phase::Ending || !batch.awaits_end() => return Ok(()),
            Due::Nothing | Due::Ask => {}
        }
        self.is_busy &= phase == Phase::Ending;
        self.end().await
    }

    fn fail(&mut self, error: WriteError) {
        self.state = State::Failed { stored: self.stored_through(), error: Some(error) };
    }
}
