//! The transitions of a connection's state: what was given to it, what it has acknowledged, and how it ends.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tidings_model::Position;
use tidings_protocol::close::CloseCode;
use tidings_protocol::error::ErrorMessage;
use tidings_protocol::framing::{self, Inbound, Opcode};
use tidings_replica::FramedEnvelope;
use tidings_session::{Principal, Session};
use tidings_streams::connections::Traffic;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::pending::Pending;
use super::phase::{Phase, PhaseEvent};
use super::received::FrameKind;
use super::{State, Timer, Unread, one_more};
use crate::limits::MessageBudget;
use crate::worker::replay_from_stream::StreamReplay;
use crate::worker::shard_progress::ShardProgress;

/// What others see of the state.
impl State {
    pub(in crate::worker) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    pub(in crate::worker) fn principal(&self) -> &Principal {
        self.session.principal()
    }

    pub(in crate::worker) fn budget(&mut self) -> &mut MessageBudget {
        &mut self.budget
    }

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

    /// Messages since the connection was opened.
    pub(in crate::worker) fn traffic(&self) -> Traffic {
        self.messages
    }

    /// Whether the connection was given an envelope.
    pub(in crate::worker) fn knows_last_message(&self) -> bool {
        self.last_message.is_some()
    }

    pub(in crate::worker) fn is_served(&self) -> bool {
        self.phase.is_served()
    }

    pub(in crate::worker) fn is_closing(&self) -> bool {
        self.phase.is_closing()
    }

    pub(in crate::worker) fn is_saving_position(&self) -> bool {
        self.phase == Phase::SavingPosition
    }

    /// Everything up to here has been given to a connection that is catching up.
    pub(in crate::worker) fn behind(&self) -> Option<u64> {
        match self.phase {
            Phase::CatchingUp { after } => Some(after),
            _ => None,
        }
    }

    /// Whether a frame of this kind counts now.
    pub(in crate::worker) fn obeys(&self, kind: FrameKind) -> bool {
        self.phase.obeys(kind)
    }

    /// Whether the connection is about to follow its tenant to another shard.
    pub(in crate::worker) fn is_moving(&self) -> bool {
        matches!(self.phase, Phase::Moving { .. })
    }

    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    pub(super) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether each side has sent its Close.
    pub(super) fn is_close_answered(&self) -> bool {
        matches!(self.phase, Phase::Closing { is_answered: true, .. })
    }
}

/// Giving and acknowledging.
impl State {
    /// Whether the message was given already, before or through another address.
    pub(super) fn has(&self, framed: &FramedEnvelope) -> bool {
        framed.sequence() <= self.sent || self.last_message == Some(framed.identity())
    }

    /// Whether everything that was given is with the kernel.
    pub(super) fn has_sent_all(&self) -> bool {
        self.queue.is_empty() && !self.blocked
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.messages() >= self.common.max_queued_messages
            || self.queue.bytes() >= self.common.max_queued_bytes
    }

    /// So many envelopes were given, this one last.
    pub(super) fn note_given(&mut self, last: &FramedEnvelope, count: usize) {
        self.sent = last.sequence();
        self.messages.sent = self.messages.sent.saturating_add(count.try_into().unwrap_or_default());
        self.last_message = Some(last.identity());
    }

    /// The connection has everything up to `after`, and does not keep up.
    pub(super) fn catch_up_after(&mut self, after: u64) {
        self.phase.advance(PhaseEvent::FellBehind { after });
    }

    /// Everything up to `after` has been read for a connection that is catching up.
    pub(in crate::worker) fn move_on(&mut self, after: u64) {
        if self.behind().is_some() {
            self.catch_up_after(after);
        }
    }

    /// The connection has everything. `true` if its client still has to be told.
    pub(super) fn become_live(&mut self) -> bool {
        self.phase.advance(PhaseEvent::CaughtUp);
        std::mem::take(&mut self.catching_up)
    }

    /// What retention has removed is skipped. The client has received the gap when it acknowledges the sequence behind it.
    pub(super) fn skip_to(&mut self, sequence: u64) {
        self.sent = self.sent.max(sequence);
        self.move_on(sequence);
    }

    /// A sequence as a position of the connection's tenant.
    pub(in crate::worker) fn position(&self, sequence: u64) -> Position {
        self.shard.position(self.principal().tenant(), self.generation, sequence)
    }

    /// The stream was recreated. The client has acknowledged `acknowledged` of it.
    pub(super) fn forget_positions(&mut self, generation: u32, acknowledged: Option<u64>) {
        self.generation = generation;
        self.sequences_begun = self.sequences_begun.wrapping_add(1);
        self.session.forget_positions();
        (self.sent, self.acknowledged, self.ack_requested) = (0, acknowledged.map(one_more), 0);
        self.missed_after = if self.is_served() && !self.is_moving() { u64::MAX } else { 0 };
        self.last_message = None;
        self.keep_stream_replay(None);
        self.join_worker();
        self.move_on(0);
    }
}

/// Answers, and requests that wait for them.
impl State {
    /// Queues a frame of the gateway itself. What a client causes is bounded by [`State::holds_back`].
    pub(in crate::worker) fn send(&mut self, frame: Bytes) {
        if !self.is_closing() {
            self.queue.send(frame);
        }
    }

    /// Queues a JSON text of the gateway itself.
    pub(in crate::worker) fn send_text(&mut self, json: &str) {
        self.send(framing::frame(Opcode::Text, json.as_bytes()));
    }

    pub(in crate::worker) fn refuse(&mut self, error: &ErrorMessage, now: OffsetDateTime) {
        self.send_text(&error.to_json(now));
    }

    /// Whether a client that does not read its answers has used up the memory for them. Nothing is read from it until all
    /// is written: so it is held back and not disconnected, unless it stays silent.
    pub(in crate::worker) fn holds_back(&mut self) -> bool {
        self.is_held_back = self.is_served() && self.queue.own_bytes() >= self.common.max_queued_bytes;
        self.is_held_back
    }

    /// Takes the decoder for bytes that have come; [`State::end_reading`] puts it back.
    pub(in crate::worker) fn begin_reading(&mut self, now: Instant) -> Inbound {
        self.last_heard = now;
        std::mem::take(&mut self.inbound)
    }

    /// Keeps the bytes that were not parsed, because the client has to read its answers first.
    pub(in crate::worker) fn end_reading(&mut self, inbound: Inbound, unparsed: &[u8]) {
        self.inbound = inbound;
        if !unparsed.is_empty() && self.is_served() {
            self.pending().unparsed = unparsed.to_vec();
        }
    }

    /// The bytes that were not parsed.
    pub(in crate::worker) fn take_unparsed(&mut self) -> Option<Vec<u8>> {
        let unparsed = std::mem::take(&mut self.pending.as_mut()?.unparsed);
        self.tidy();
        Some(unparsed).filter(|unparsed| !unparsed.is_empty())
    }

    pub(in crate::worker) fn note_received(&mut self) {
        self.messages.received = self.messages.received.saturating_add(1);
    }

    /// Whether there may be something to read that may be read now.
    pub(super) fn may_read(&mut self) -> bool {
        let has_unparsed = self.pending.as_ref().is_some_and(|pending| !pending.unparsed.is_empty());
        (self.unread != Unread::Nothing || has_unparsed) && !self.holds_back()
    }

    /// Whether a request for the newest envelope waits for its turn, and it has come.
    pub(in crate::worker) fn may_send_latest(&mut self) -> bool {
        let is_due = self.pending.as_ref().is_some_and(|pending| pending.latest.is_due());
        is_due && self.is_served() && !self.holds_back()
    }

    /// The requests that are not answered yet.
    pub(in crate::worker) fn pending(&mut self) -> &mut Pending {
        self.pending.get_or_insert_default()
    }

    /// The replay from the stream itself.
    pub(in crate::worker) fn take_stream_replay(&mut self) -> Option<Box<StreamReplay>> {
        let replay = self.pending.as_mut()?.stream_replay.take();
        self.tidy();
        replay
    }

    pub(in crate::worker) fn keep_stream_replay(&mut self, replay: Option<Box<StreamReplay>>) {
        if replay.is_some() || self.pending.is_some() {
            self.pending().stream_replay = replay;
            self.tidy();
        }
    }

    /// Frees the memory for pending requests when there are none.
    pub(in crate::worker) fn tidy(&mut self) {
        self.pending.take_if(|pending| pending.is_empty());
    }
}

/// Timers and the end.
impl State {
    /// What is due now, of a token that is valid for `time_left`; a Ping is due again after `heartbeat`.
    pub(in crate::worker) fn due(
        &mut self,
        now: Instant,
        (heartbeat, idle_timeout): (Duration, Duration),
        time_left: Duration,
    ) -> Option<Timer> {
        if time_left.is_zero() {
            Some(Timer::TokenExpired)
        } else if self.last_heard + idle_timeout <= now {
            Some(Timer::Silent)
        } else if self.leaves_at <= now {
            Some(if self.is_close_announced { Timer::Leave } else { Timer::AnnounceClose })
        } else if self.next_ping <= now {
            self.next_ping = now + heartbeat;
            Some(Timer::Ping)
        } else {
            None
        }
    }

    /// When something is due next.
    pub(in crate::worker) fn next_due(
        &self,
        now: Instant,
        idle_timeout: Duration,
        time_left: Duration,
    ) -> Instant {
        let silent = self.last_heard + idle_timeout;
        self.next_ping.min(now + time_left).min(silent).min(self.leaves_at)
    }

    /// The connection is closed at this time, and its client is told now.
    pub(super) fn announce_close(&mut self, at: Instant) {
        (self.leaves_at, self.is_close_announced) = (at, true);
    }

    /// Gives the connection nothing more; for a while the client may acknowledge what it was given.
    pub(in crate::worker) fn leave(&mut self, now: Instant) {
        self.stop(PhaseEvent::Left { now });
        self.save_if_acknowledged();
    }

    /// Does not wait for a client that has acknowledged everything.
    pub(in crate::worker) fn save_if_acknowledged(&mut self) {
        if self.has_acknowledged_all() {
            if self.is_moving() { self.wake() } else { self.save_position() }
        }
    }

    /// Gives the connection nothing more from its shard, until it has followed its tenant to another one.
    pub(in crate::worker) fn begin_moving(&mut self, until: Instant) {
        let after = self.behind().unwrap_or(self.shard.cursor());
        if self.phase.advance(PhaseEvent::TenantMoved { until }) {
            self.missed_after = after;
            self.common.deadlines.add(until, self.id);
            self.wake();
        }
    }

    /// The connection is in this shard now and continues there. Its client has received everything up to `after`.
    pub(super) fn follow(&mut self, shard: Rc<ShardProgress>, generation: u32, after: u64) {
        let last_message = self.last_message;
        self.shard = shard;
        self.forget_positions(generation, Some(after));
        // A message that is in both shards comes once.
        self.last_message = last_message;
        (self.sent, self.ack_requested, self.missed_after) = (after, after, u64::MAX);
        self.catching_up = true;
        self.phase.advance(PhaseEvent::Followed { after });
        self.wake();
    }

    fn save_position(&mut self) {
        self.stop(PhaseEvent::Acknowledged);
        self.wake();
    }

    /// Sends a Close, unless there was one before, from whatever side.
    pub(super) fn close(&mut self, code: CloseCode, reason: &str, now: Instant) {
        if !self.is_closing() {
            self.send(framing::close(code, reason));
            self.stop(PhaseEvent::CloseSent { now });
        }
    }

    /// The client sent a Close: answers, unless ours was first.
    pub(in crate::worker) fn closed_by_client(&mut self, code: Option<u16>, now: Instant) {
        if !self.is_closing() {
            self.send(framing::close(code.unwrap_or(CloseCode::Normal.into()), ""));
        }
        self.stop(PhaseEvent::CloseReceived { now });
    }

    /// The phase's time may be over.
    pub(in crate::worker) fn check_deadline(&mut self, now: Instant) {
        if self.phase.deadline().is_some_and(|deadline| deadline <= now) {
            match self.phase {
                Phase::Moving { .. } => self.leave(now),
                _ if self.is_closing() => self.end(),
                _ => self.save_position(),
            }
        }
    }

    /// Gives up the socket.
    pub(in crate::worker) fn end(&mut self) {
        self.stop(PhaseEvent::Ended);
        self.wake();
    }

    /// Enters a phase in which nothing more is given.
    fn stop(&mut self, event: PhaseEvent) {
        let behind = self.behind();
        if self.phase.advance(event) {
            self.missed_after = behind.unwrap_or(self.missed_after);
            if let Some(deadline) = self.phase.deadline() {
                self.common.deadlines.add(deadline, self.id);
            }
        }
    }

    /// Has the worker run the connection.
    pub(in crate::worker) fn wake(&mut self) {
        if !std::mem::replace(&mut self.is_woken, true) {
            self.common.wakeups.add(self.id);
        }
    }
}
