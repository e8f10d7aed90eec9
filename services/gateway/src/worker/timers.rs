//! Heartbeats, silence, expired tokens and age, for any number of connections without a timer each.
//!
//! One heap holds, for each connection, when it has something to do next; the worker's tick looks at those that are due.

use std::cmp::Reverse;
use std::time::Duration;

use tidings_protocol::close::CloseCode;
use tidings_protocol::framing::{Opcode, frame};
use tokio::time::Instant;

use super::Worker;
use super::connection::{Connection, Timer};

/// How long before its end a connection is told that it has reached its age; a tenth of the age, if that is less.
const NOTICE: Duration = Duration::from_secs(10);
/// Beyond this, a timer needs no precision.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Worker {
    /// Runs every timer that is due.
    pub(super) fn run_timers(&self) {
        let now = Instant::now();
        while let Some(id) = self.common.deadlines.next_due(now) {
            if let Some(connection) = self.connection(id) {
                let state = &mut *connection.state();
                let was_moving = state.is_moving();
                state.check_deadline(now);
                if was_moving && !state.is_served() {
                    // Its client has not acknowledged what it was given before its tenant moved.
                    connection.announce_close(state, Duration::ZERO, (now, self.now()));
                }
            }
        }
        loop {
            let mut timers = self.timers.borrow_mut();
            match timers.peek() {
                Some(Reverse((due, _))) if *due <= now => {}
                _ => return,
            }
            let Some(Reverse((_, id))) = timers.pop() else { return };
            drop(timers);
            // The timer of a connection that has ended stays until now.
            let Some(connection) = self.connection(id) else { continue };
            if let Some(next) = self.run_timer(&connection, now) {
                self.timers.borrow_mut().push(Reverse((next, id)));
            }
        }
    }

    /// Does what is due for a connection, and returns when something is due next, unless it is being closed.
    fn run_timer(&self, connection: &Connection, now: Instant) -> Option<Instant> {
        let settings = &self.context.settings;
        let state = &mut *connection.state();
        if !state.is_served() {
            return None;
        }
        let time_left = self.context.authenticator.time_left(state.principal()).min(FAR);
        match state.due(now, (settings.heartbeat, settings.idle_timeout), time_left) {
            None => {}
            Some(Timer::TokenExpired) => {
                connection.close(state, CloseCode::TokenExpired, "the token has expired", now);
            }
            Some(Timer::Silent) => {
                connection.close(state, CloseCode::HeartbeatLost, "no answer to the heartbeat", now);
            }
            Some(Timer::AnnounceClose) => {
                let notice = NOTICE.min(settings.max_connection_age / 10);
                connection.announce_close(state, notice, (now, self.now()));
            }
            Some(Timer::Leave) => {
                state.leave(now);
                connection.request_ack(state);
            }
            Some(Timer::Ping) => {
                state.send(frame(Opcode::Ping, &[]));
                connection.flush_now(state);
            }
        }
        state.is_served().then(|| state.next_due(now, settings.idle_timeout, time_left))
    }
}
