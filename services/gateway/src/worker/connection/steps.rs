//! When a connection has something to do, and what: after a report of its socket, when something has happened to it, and by
//! the clock (heartbeats, silence, expired tokens, age, deadlines of its phase). And how it comes from phase to phase.

use std::time::Duration;

use mio::event::Event;
use tidings_protocol::close::CloseCode;
use tidings_protocol::framing::{self, Opcode, frame};
use tidings_protocol::server::ServerMessage;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::phase::{FrameKind, Phase, PhaseEvent};
use super::{Connection, State, Unread};
use crate::worker::figures::Counted;

/// How long before its end a connection is told that it has reached its age; a tenth of the age, if that is less.
const NOTICE: Duration = Duration::from_secs(10);

/// The next thing to do for a connection.
pub(in crate::worker) enum Step {
    SendLatest,
    Read,
    Write,
    Replay,
    FollowTenant,
    SavePosition,
    End,
}

/// What a connection's timer is due for.
enum Timer {
    TokenExpired,
    /// The client answers no heartbeat.
    Silent,
    AnnounceClose,
    Leave,
    Ping,
}

impl State {
    /// Has the worker run the connection.
    pub(in crate::worker) fn wake(&mut self) {
        if !std::mem::replace(&mut self.is_woken, true) {
            self.common.woken.borrow_mut().push(self.id);
            self.common.woke.notify_one();
        }
    }

    /// What is due now, of a token that is valid for `time_left`; a Ping is due again after `heartbeat`.
    fn due(
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
    fn next_due(&self, now: Instant, idle_timeout: Duration, time_left: Duration) -> Instant {
        let silent = self.last_heard + idle_timeout;
        self.next_ping.min(now + time_left).min(silent).min(self.leaves_at)
    }

    /// The connection is closed at this time, and its client is told now.
    fn close_at(&mut self, at: Instant) {
        (self.leaves_at, self.is_close_announced) = (at, true);
    }
}

/// The phase and its transitions.
impl State {
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
    fn is_close_answered(&self) -> bool {
        matches!(self.phase, Phase::Closing { is_answered: true, .. })
    }

    /// The connection has everything up to `after`, and does not keep up.
    pub(super) fn catch_up_after(&mut self, after: u64) {
        self.advance(PhaseEvent::FellBehind { after });
    }

    /// Everything up to `after` has been read for a connection that is catching up.
    pub(in crate::worker) fn move_on(&mut self, after: u64) {
        if self.behind().is_some() {
            self.catch_up_after(after);
        }
    }

    /// The connection has everything. `true` if its client still has to be told.
    pub(super) fn become_live(&mut self) -> bool {
        self.advance(PhaseEvent::CaughtUp);
        std::mem::take(&mut self.catching_up)
    }

    /// The connection is in the shard of its tenant, and has everything up to `after`.
    pub(super) fn catch_up_elsewhere(&mut self, after: u64) {
        self.catching_up = true;
        self.advance(PhaseEvent::Followed { after });
        self.wake();
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
        if self.advance(PhaseEvent::TenantMoved { until }) {
            self.missed_after = after;
            self.common.add_deadline(until, self.id);
            self.wake();
        }
    }

    fn save_position(&mut self) {
        self.stop(PhaseEvent::Acknowledged);
        self.wake();
    }

    /// Sends a Close, unless there was one before, from whatever side.
    pub(super) fn close(&mut self, code: CloseCode, reason: &str, now: Instant) {
        if !self.is_closing() {
            self.common.figures.count(Counted::ClosedByGateway(code), 1);
            self.common.access_log.note_ending(self.id, "gateway", code.into(), reason);
            self.send(framing::close(code, reason));
            self.stop(PhaseEvent::CloseSent { now });
        }
    }

    /// The client sent a Close: answers, unless ours was first.
    pub(in crate::worker) fn closed_by_client(&mut self, code: Option<u16>, now: Instant) {
        if !self.is_closing() {
            self.common.figures.count(Counted::ClosedByClient(code), 1);
            // 1005 is a Close without a code, 1006 none at all (RFC 6455, section 7.4.1).
            self.common.access_log.note_ending(self.id, "client", code.unwrap_or(1005), "");
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
        if !self.is_closing() {
            self.common.figures.count(Counted::Lost, 1);
            self.common.access_log.note_ending(self.id, "nobody", 1006, "");
        }
        self.stop(PhaseEvent::Ended);
        self.wake();
    }

    /// Enters the phase that the event leads to; see [`Phase::advance`].
    fn advance(&mut self, event: PhaseEvent) -> bool {
        let before = self.phase.activity();
        let has_stopped = self.phase.advance(event);
        self.common.figures.moved(self.session.form(), Some(before), Some(self.phase.activity()));
        has_stopped
    }

    /// Enters a phase in which nothing more is given.
    fn stop(&mut self, event: PhaseEvent) {
        let behind = self.behind();
        if self.advance(event) {
            self.missed_after = behind.unwrap_or(self.missed_after);
            if let Some(deadline) = self.phase.deadline() {
                self.common.add_deadline(deadline, self.id);
            }
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.common.figures.moved(self.session.form(), Some(self.phase.activity()), None);
    }
}

impl Connection {
    /// Notes what the socket reports.
    pub(in crate::worker) fn note(&self, event: &Event) {
        let mut state = self.state();
        // Room that was there before the socket took no more is there no longer.
        state.has_room |= state.blocked && event.is_writable();
        if event.is_read_closed() || event.is_error() {
            state.unread = Unread::UpToTheEnd;
        } else if event.is_readable() && state.unread == Unread::Nothing {
            state.unread = Unread::Something;
        }
    }

    /// The next step; `None` while there is nothing to do.
    pub(in crate::worker) fn next_step(&self) -> Option<Step> {
        let mut state = self.state();
        state.is_woken = false;
        // Even if a task works for it.
        if state.is_closed() {
            return Some(Step::End);
        }
        if state.may_send_latest() {
            return Some(Step::SendLatest);
        }
        if state.is_busy {
            return None;
        }
        if state.is_close_answered() && state.has_sent_all() {
            return Some(Step::End);
        }
        if state.is_saving_position() {
            return Some(Step::SavePosition);
        }
        if state.behind().is_some() && state.has_sent_all() && !state.is_paced() {
            return Some(Step::Replay);
        }
        if state.is_moving() && state.has_sent_all() && state.has_acknowledged_all() {
            return Some(Step::FollowTenant);
        }
        if std::mem::take(&mut state.has_room) {
            state.blocked = false;
            return Some(Step::Write);
        }
        state.may_read().then_some(Step::Read)
    }

    /// A task works for the connection, or does no longer.
    pub(in crate::worker) fn set_busy(&self, is_busy: bool) {
        self.state().is_busy = is_busy;
    }

    /// Tells the client that the connection is closed after this time.
    pub(in crate::worker) fn announce_close(
        &self,
        state: &mut State,
        wait: Duration,
        (now, wall): (Instant, OffsetDateTime),
    ) {
        state.close_at(now + wait);
        let reconnect_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.notify(state, &ServerMessage::Draining { reconnect_in_ms }, wall);
        self.flush_now(state);
    }

    /// The time of the connection's phase may be over.
    pub(in crate::worker) fn check_deadline(&self, (now, wall): (Instant, OffsetDateTime)) {
        let state = &mut *self.state();
        let was_moving = state.is_moving();
        state.end_pacing(now);
        state.check_deadline(now);
        if was_moving && !state.is_served() {
            // Its client has not acknowledged what it was given before its tenant moved.
            self.announce_close(state, Duration::ZERO, (now, wall));
        }
    }

    /// Does what is due, with a token that is valid for `time_left`, and returns when something is due next, unless the
    /// connection is being closed.
    pub(in crate::worker) fn run_timer(
        &self,
        (now, wall): (Instant, OffsetDateTime),
        (heartbeat, idle_timeout, max_age): (Duration, Duration, Duration),
        time_left: Duration,
    ) -> Option<Instant> {
        let state = &mut *self.state();
        if !state.is_served() {
            return None;
        }
        if self.socket.page().is_some() {
            return self.run_page_timer(state, now, (idle_timeout, time_left));
        }
        if self.is_http() && state.has_sent_all() {
            // It says nothing itself; the system notices when it is gone.
            state.last_heard = now;
        }
        match state.due(now, (heartbeat, idle_timeout), time_left) {
            None => {}
            Some(Timer::TokenExpired) => {
                self.close(state, CloseCode::TokenExpired, "the token has expired", now);
            }
            Some(Timer::Silent) => {
                self.close(state, CloseCode::HeartbeatLost, "no answer to the heartbeat", now);
            }
            Some(Timer::AnnounceClose) => {
                self.announce_close(state, NOTICE.min(max_age / 10), (now, wall));
            }
            Some(Timer::Leave) => {
                state.leave(now);
                self.request_ack(state);
            }
            Some(Timer::Ping) => {
                state.send(frame(Opcode::Ping, &[]));
                self.flush_now(state);
            }
        }
        state.is_served().then(|| state.next_due(now, idle_timeout, time_left))
    }
}
