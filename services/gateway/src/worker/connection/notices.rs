//! What a connection is told besides envelopes: the control messages of `tidings.v1`, and the questions to plain clients.

use std::rc::Rc;
use std::time::Duration;

use tidings_model::Position;
use tidings_protocol::close::CloseCode;
use tidings_protocol::framing::{Opcode, frame};
use tidings_protocol::server::{Form, GapReason, ServerMessage};
use tidings_replica::{Gap, ResumePoint};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{Connection, State};
use crate::worker::shard_progress::ShardProgress;

impl Connection {
    /// Queues a control message, which plain clients do not receive.
    fn notify(&self, state: &mut State, message: &ServerMessage<'_>, now: OffsetDateTime) {
        if self.form() == Form::Sequenced {
            state.send_text(&message.to_json(now));
        }
    }

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
        if let Some(Gap { from, to, reason }) = resume.gap {
            self.notify(&mut state, &ServerMessage::Gap { from, to, reason }, now);
        }
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
        let gap = ServerMessage::Gap {
            from: state.position(after),
            to: state.position(to),
            reason: GapReason::Retention,
        };
        self.notify(&mut state, &gap, now);
        state.skip_to(to);
    }

    /// The stream was recreated: the connection, which had received everything up to `from`, continues at its beginning.
    /// Where its client may still acknowledge a sequence from before, which names something else now, it is closed instead.
    pub(in crate::worker) fn restart(&self, from: Position, (now, wall): (Instant, OffsetDateTime)) {
        let mut state = self.state();
        let was_given = state.messages.sent > 0;
        let current = state.shard().current(state.principal().tenant()).unwrap_or_default();
        state.forget_positions(current, (self.form() == Form::Plain).then_some(0));
        let gap = ServerMessage::Gap { from, to: state.position(0), reason: GapReason::Epoch };
        self.notify(&mut state, &gap, wall);
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

    /// Tells the client that the connection is closed after this time.
    pub(in crate::worker) fn announce_close(
        &self,
        state: &mut State,
        wait: Duration,
        (now, wall): (Instant, OffsetDateTime),
    ) {
        state.announce_close(now + wait);
        let reconnect_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.notify(state, &ServerMessage::Draining { reconnect_in_ms }, wall);
        self.flush_now(state);
    }

    /// Asks a plain client whether it has received everything that it was sent; a client of `tidings.v1` acknowledges by
    /// itself.
    pub(in crate::worker) fn request_ack(&self, state: &mut State) {
        state.wants_ack = false;
        if self.form() == Form::Plain && state.ack_requested < state.sent {
            state.ack_requested = state.sent;
            let question = frame(Opcode::Ping, state.question().as_bytes());
            state.send(question);
            self.flush_now(state);
        }
    }
}
