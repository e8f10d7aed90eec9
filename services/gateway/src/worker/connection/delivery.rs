//! What a connection is given, on the live path and from a replay.

use std::rc::Rc;
use std::time::Duration;

use tidings_model::{Epoch, PlacedPosition, Position};
use tidings_protocol::close::CloseCode;
use tidings_protocol::server::{Form, GapReason, ServerMessage};
use tidings_replica::{FramedEnvelope, Gap, ResumePoint};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::send_queue::{Batch, BatchRun};
use super::{Connection, Given, State, one_more};
use crate::worker::figures::Counted;
use crate::worker::shard_progress::ShardProgress;

/// What was given.
impl State {
    /// The progress of the worker in the connection's shard.
    pub(in crate::worker) fn shard(&self) -> &Rc<ShardProgress> {
        &self.shard
    }

    pub(in crate::worker) fn generation(&self) -> u32 {
        self.generation
    }

    /// The last sequence that was given.
    pub(in crate::worker) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether the connection was given an envelope.
    pub(in crate::worker) fn knows_last_message(&self) -> bool {
        self.last_message.is_some()
    }

    /// A sequence as a position of the connection's tenant.
    pub(in crate::worker) fn position(&self, sequence: u64) -> Position {
        self.placed(sequence).position
    }

    /// The same with the generation that it is in.
    pub(super) fn placed(&self, sequence: u64) -> PlacedPosition {
        self.shard.position(self.principal().tenant(), self.generation, sequence)
    }

    /// Whether the message was given already, before or through another address.
    fn has(&self, framed: &FramedEnvelope) -> bool {
        framed.sequence() <= self.sent
            || self.last_message == Some(framed.identity())
            || (self.has_followed && self.last_message.is_some_and(|message| framed.is_before(message)))
    }

    /// Whether everything that was given is with the kernel.
    pub(super) fn has_sent_all(&self) -> bool {
        self.queue.is_empty() && !self.blocked
    }

    fn is_full(&self) -> bool {
        self.queue.is_full(self.common.bounds)
    }

    /// So many envelopes were given, this one last.
    fn note_given(&mut self, last: &FramedEnvelope, count: usize, from: Counted) {
        self.common.figures.count(from, count as u64);
        self.sent = last.sequence();
        self.messages.sent = self.messages.sent.saturating_add(count.try_into().unwrap_or_default());
        self.last_message = Some(last.identity());
        self.has_followed = false;
    }

    /// Tells the client that something cannot be delivered. A plain client is told if its catalog says in which form.
    fn tell_gap(&mut self, Gap { from, to, reason }: Gap, now: OffsetDateTime) {
        if let Some(told) = self.session.gap(from, to, reason, now) {
            self.send_text(&told);
        }
    }

    /// What retention has removed is skipped. The client has received the gap when it acknowledges the sequence behind it.
    fn skip_to(&mut self, sequence: u64) {
        self.sent = self.sent.max(sequence);
        self.move_on(sequence);
    }

    /// The stream was recreated. The client has acknowledged `acknowledged` of it.
    fn forget_positions(&mut self, generation: u32, acknowledged: Option<u64>) {
        self.generation = generation;
        self.sequences_begun = self.sequences_begun.wrapping_add(1);
        self.session.forget_positions();
        (self.sent, self.acknowledged, self.ack_requested) = (0, acknowledged.map(one_more), 0);
        self.missed_after = if self.is_served() && !self.is_moving() { u64::MAX } else { 0 };
        (self.last_message, self.has_followed) = (None, false);
        self.keep_stream_replay(None);
        self.join_worker();
        self.move_on(0);
    }

    /// The connection is in this shard now and continues there. Its client has received everything up to `after`.
    fn follow(&mut self, shard: Rc<ShardProgress>, generation: u32, after: u64) {
        let last_message = self.last_message;
        self.shard = shard;
        self.forget_positions(generation, Some(after));
        // The new shard may still be about to write what was received from the old one: that comes once.
        (self.last_message, self.has_followed) = (last_message, true);
        (self.sent, self.ack_requested, self.missed_after) = (after, after, u64::MAX);
        self.catch_up_elsewhere(after);
    }

    /// From here on the worker is sent all that comes to the connection. What was routed before that is given from the
    /// replica, so the connection is not live until the worker has come so far, which it mostly has.
    pub(in crate::worker) fn join_worker(&mut self) {
        let live_from = self.shard.place().live_from();
        let waits = self.shard.cursor() < live_from;
        if waits || self.pending.is_some() {
            self.pending().live_from = if waits { live_from } else { 0 };
            self.tidy();
        }
    }

    /// Whether the worker, which has come to `cursor`, is sent all that comes to the connection behind that.
    fn has_joined_worker(&mut self, cursor: u64) -> bool {
        let live_from = self.pending.as_ref().map_or(0, |pending| pending.live_from);
        if live_from > cursor {
            return false;
        }
        if live_from > 0 {
            self.pending().live_from = 0;
            self.tidy();
        }
        true
    }
}

impl Connection {
    /// Tells the client its consumer and its position: as the first message, and of another shard before its first message.
    /// Nothing is written yet, so that what follows can go out with it. The caller sees to that: no step of a connection begins
    /// while something is unsent.
    pub(in crate::worker) fn welcome(&self, resume: ResumePoint, now: OffsetDateTime) {
        let mut state = self.state();
        let consumer = &state.principal().consumer;
        let consumer = format!("{}/{}", consumer.user(), consumer.device());
        let expires = Some(state.principal().expires_at);
        let welcome = ServerMessage::Welcome { position: resume.after, consumer: &consumer, expires };
        self.notify(&mut state, &welcome, now);
        if let Some(gap) = resume.gap {
            state.tell_gap(gap, now);
        }
    }

    /// Offers a run of envelopes on the live path. `true` if the connection must be flushed and was not waiting to be
    /// already.
    pub(in crate::worker) fn offer(&self, run: &BatchRun<'_>) -> bool {
        let mut state = self.state();
        if self.offer_whole(&mut state, run) {
            return true;
        }
        let was_idle = state.queue.is_empty();
        let (batch, range, every) = run.parts();
        for index in range {
            self.offer_one(&mut state, (batch, index), every);
        }
        was_idle && !state.queue.is_empty()
    }

    /// Gives the whole run to a connection that keeps up, which comes to the same as one by one; `false` if it may not.
    fn offer_whole(&self, state: &mut State, run: &BatchRun<'_>) -> bool {
        if !state.is_live() || state.has(run.first()) {
            return false;
        }
        let given = state.queue.give_whole(run, self.shape, state.common.bounds);
        if let Some((last, count)) = given {
            state.note_given(last, count, Counted::Live);
        }
        given.is_some()
    }

    fn offer_one(&self, state: &mut State, (batch, index): (&Rc<Batch>, usize), every: Option<Duration>) {
        let Some(framed) = batch.envelopes().get(index) else { return };
        if !state.is_served() {
            state.missed_after = state.missed_after.min(framed.sequence() - 1);
        }
        if !state.is_live() || state.has(framed) {
            return;
        }
        if framed.envelope().origin.part > 0 && state.last_message.is_none() {
            // Another part of the message may lie before the connection's position.
            state.catch_up_after(framed.sequence() - 1);
            return state.wake();
        }
        if let Some(every) = every {
            if state.is_paced() {
                return state.catch_up_after(framed.sequence() - 1);
            }
            state.pace(every);
        }
        if state.is_full() {
            self.flush_now(state);
            if state.is_full() {
                state.common.figures.count(Counted::QueueFull, 1);
                // A slow reader costs nothing more from here on, and loses nothing.
                state.catch_up_after(framed.sequence() - 1);
                return;
            }
        }
        state.queue.give(batch, index, self.shape);
        state.note_given(framed, 1, Counted::Live);
    }

    /// Gives a replayed envelope of this life of the stream to the connection, if it may have it. `is_repeated` says that it
    /// has received another part of the same message.
    pub(in crate::worker) fn give(
        &self,
        epoch: Epoch,
        (framed, from): (&FramedEnvelope, Counted),
        is_repeated: bool,
    ) -> Given {
        let mut state = self.state();
        if state.shard().epoch() != epoch {
            return Given::All;
        }
        if state.is_full() {
            self.flush_now(&mut state);
        }
        if state.is_full() {
            return Given::Full;
        }
        state.move_on(framed.sequence());
        let is_wanted = state.behind().is_some() && !is_repeated && !state.has(framed);
        if is_wanted && state.session().receives(framed.sequence(), framed.envelope()) {
            let state = &mut *state;
            if !state.collect(framed, self.shape) {
                state.queue.give_one(framed, self.shape, state.common.deflate());
            }
            state.note_given(framed, 1, from);
        }
        Given::All
    }

    /// The sequence after which the connection still lacks envelopes; `None` if it is live now, or is not served any more.
    /// It becomes live in the step in which it is seen to have everything.
    pub(in crate::worker) fn still_behind(&self, now: OffsetDateTime) -> Option<u64> {
        let mut state = self.state();
        let after = state.behind()?;
        let is_to_come = state.shard().is_to_come(state.principal().tenant(), state.generation());
        // Read once: the worker may come further at any moment, past what the connection lacks.
        let cursor = state.shard().cursor();
        if after < cursor || is_to_come || !state.has_joined_worker(cursor) {
            return Some(after);
        }
        if state.become_live() {
            let position = state.position(after);
            self.notify(&mut state, &ServerMessage::CaughtUp { position }, now);
            self.flush_now(&mut state);
        }
        None
    }

    /// Skips what retention has removed, and tells the client.
    pub(in crate::worker) fn skip_removed(&self, to: u64, now: OffsetDateTime) {
        let mut state = self.state();
        let Some(after) = state.behind().filter(|after| to > *after) else { return };
        let (from, until) = (state.position(after), state.position(to));
        state.tell_gap(Gap { from, to: until, reason: GapReason::Retention }, now);
        state.skip_to(to);
    }

    /// The stream was recreated: the connection, which had received everything up to `from`, continues at its beginning.
    /// Where its client may still acknowledge a sequence from before, which names something else now, it is closed instead.
    pub(in crate::worker) fn restart(&self, from: Position, (now, wall): (Instant, OffsetDateTime)) {
        let mut state = self.state();
        let was_given = state.messages.sent > 0;
        let current = state.shard().current(state.principal().tenant()).unwrap_or_default();
        state.forget_positions(current, (self.form() == Form::Plain).then_some(0));
        let to = state.position(0);
        state.tell_gap(Gap { from, to, reason: GapReason::Epoch }, wall);
        if self.form() == Form::Sequenced && was_given {
            let text = "the stream of messages was recreated; connect again";
            state.close(CloseCode::GoingAway, text, now);
        }
        self.flush_now(&mut state);
    }

    /// Whether the connection may continue in another shard at this point: whatever its client may still say of this one
    /// must say nothing new there.
    pub(in crate::worker) fn may_follow_to(&self, resume: ResumePoint) -> bool {
        match self.form() {
            Form::Plain => true,
            Form::Sequenced => resume.gap.is_none() && resume.after.sequence >= self.state().sent,
        }
    }

    /// The connection has followed its tenant to this shard, and resumes there. Its client receives the new position before
    /// anything that is behind it.
    pub(in crate::worker) fn follow(
        &self,
        shard: Rc<ShardProgress>,
        (resume, generation): (ResumePoint, u32),
        now: OffsetDateTime,
    ) {
        self.state().follow(shard, generation, resume.after.sequence);
        self.welcome(resume, now);
        self.flush();
    }
}
