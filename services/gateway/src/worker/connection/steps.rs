//! When a connection has something to do, and what: after a report of its socket, when something has happened to it, and by
//! the clock (heartbeats, silence, expired tokens, age, deadlines of its phase).

use std::time::Duration;

use mio::event::Event;
use tidings_protocol::close::CloseCode;
use tidings_protocol::framing::{Opcode, frame};
use tidings_protocol::server::ServerMessage;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{Connection, State, Unread};

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
        if state.behind().is_some() && state.has_sent_all() {
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
