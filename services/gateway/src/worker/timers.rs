//! Heartbeats, silence, expired tokens and age, for any number of connections without a timer each.
//!
//! One heap holds, for each connection, when to look at it again; the shard's tick looks at those
//! that are due.

use std::cmp::Reverse;
use std::time::Duration;

use tidings_protocol::close::CloseCode;
use tidings_protocol::framing::{Opcode, frame};
use tokio::time::Instant;

use super::Shard;
use super::connection::Connection;
use crate::worker::connection::state::State;

impl Shard {
    /// Looks at every connection of which something is due.
    pub(super) fn look_at_timers(&self) {
        let now = Instant::now();
        while let Some(id) = self.common.deadlines.next_due(now) {
            if let Some(connection) = self.connection(id) {
                connection.state().deadline_met(now);
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
            // A connection that is gone leaves its timer to this moment.
            let Some(connection) = self.connection(id) else { continue };
            if let Some(next) = self.look_at(&connection, now) {
                self.timers.borrow_mut().push(Reverse((next, id)));
            }
        }
    }

    /// Does what is due for a connection; says when to look again, unless it is being closed.
    fn look_at(&self, connection: &Connection, now: Instant) -> Option<Instant> {
        let settings = &self.shared.settings;
        let mut state = connection.state();
        if !state.phase.is_served() {
            return None;
        }
        if self.expiry(&state, now) <= now {
            connection.close(&mut state, CloseCode::TokenExpired, "the token has expired", now);
        } else if state.last_heard + settings.idle_timeout <= now {
            connection.close(&mut state, CloseCode::HeartbeatLost, "no answer to the heartbeat", now);
        } else if state.leaves <= now {
            self.move_on_from_here(connection, &mut state, now);
        } else if state.next_ping <= now {
            state.say(frame(Opcode::Ping, &[]));
            connection.flush_now(&mut state);
            state.next_ping = now + settings.heartbeat;
        }
        let silent = state.last_heard + settings.idle_timeout;
        let next = state.next_ping.min(self.expiry(&state, now)).min(silent).min(state.leaves);
        state.phase.is_served().then_some(next)
    }

    /// When the connection's token has expired, with what clocks may differ by; now, if it has. By the wall clock
    /// as it is, so that nothing needs to be kept of it.
    fn expiry(&self, state: &State, now: Instant) -> Instant {
        /// Beyond this, a timer needs no precision.
        const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let left = state.session.passport().expires_at - (self.shared.clock)();
        let leeway = time::Duration::try_from(self.shared.leeway).unwrap_or(time::Duration::MAX);
        now + Duration::try_from(left.saturating_add(leeway)).unwrap_or_default().min(FAR)
    }
}
