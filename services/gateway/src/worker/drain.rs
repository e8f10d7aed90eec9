//! Connections move elsewhere: all of them when the gateway ends, and each when it has reached its age.
//!
//! A client of `tidings.v1` is told beforehand, so that it can have its next connection first. At its moment
//! a connection is given nothing more; what it was given is asked about, as far as that was not answered;
//! where it stands is saved; and only then comes the Close. So whoever connects again at once, to whichever
//! gateway, is not told again what it has acknowledged.
//!
//! When the gateway ends, the moments lie evenly over the time for draining, in random order: so the other
//! gateways are met by a stream and not by a wave.

use std::rc::Rc;
use std::time::Duration;

use tidings_model::Tenant;
use tidings_protocol::close::CloseCode;
use tidings_protocol::server::ServerMessage;
use tokio::time::Instant;

use super::Shard;
use super::connection::Connection;
use crate::replica::frame::Form;
use crate::worker::connection::phase::ACKNOWLEDGING_TIME;
use crate::worker::connection::state::State;

/// How long saving a position may take.
const SAVING: Duration = Duration::from_secs(2);
/// How long before its end a connection hears that it has reached its age; a tenth of the age, if that is
/// less.
const NOTICE: Duration = Duration::from_secs(10);
/// How long connections may take to say goodbye when the shard ends.
const FAREWELL: Duration = Duration::from_secs(2);

impl Shard {
    /// Moves every connection elsewhere within this time, those too that are still to come.
    pub(super) fn drain(&self, over: Duration) {
        let now = Instant::now();
        self.drained_by.set(Some(now + over));
        self.spread_out(self.connections.borrow().values().cloned().collect(), over, now);
    }

    /// Moves a tenant's connections elsewhere within this time. Those that are still to come were told elsewhere.
    pub(super) fn move_away(&self, tenant: &Tenant, generation: u32, over: Duration) {
        self.generations.borrow_mut().leave(tenant, generation);
        let connections = self.connections.borrow();
        let is_of_tenant =
            |connection: &&Rc<Connection>| connection.state().session.passport().tenant() == tenant;
        self.spread_out(connections.values().filter(is_of_tenant).cloned().collect(), over, Instant::now());
    }

    /// Has those leave at once who have been here since before the tenant was elsewhere. What was new there was made anew
    /// before the notice of its return and has been given to nobody; so what follows the notice would come to them behind a
    /// hole. When they come again, they go on where they stood.
    pub(super) fn send_back(&self, tenant: &Tenant) {
        let now = Instant::now();
        for connection in self.connections.borrow().values() {
            let mut state = connection.state();
            if state.session.passport().tenant() == tenant && self.has_come_back(&state) {
                state.leave(now);
                connection.ask(&mut state);
            }
        }
    }

    fn spread_out(&self, mut connections: Vec<Rc<Connection>>, over: Duration, now: Instant) {
        let random = self.shared.random;
        connections.sort_by_cached_key(|_| random().to_bits());
        for (connection, wait) in connections.iter().zip(spread(connections.len(), over, random)) {
            self.announce(connection, wait, now);
        }
        // Whatever was to be looked at later is looked at now, and then at its moment.
        let connections = self.connections.borrow();
        *self.timers.borrow_mut() = connections.keys().map(|id| std::cmp::Reverse((now, *id))).collect();
    }

    /// Gives a newcomer its moment if the shard is draining already, or its tenant has moved since its handshake.
    pub(super) fn drain_newcomer(&self, connection: &Connection, now: Instant) {
        if self.has_come_back(&connection.state()) {
            connection.state().leave(now);
        } else if !self.is_here(&connection.state()) {
            self.announce(connection, Duration::ZERO, now);
        } else if let Some(drained_by) = self.drained_by.get() {
            let left = drained_by.saturating_duration_since(now);
            self.announce(connection, left.mul_f64((self.shared.random)()), now);
        }
    }

    /// Whether everybody has left, or has had the time to.
    pub(super) fn is_drained(&self) -> bool {
        self.drained_by.get().is_some_and(|drained_by| {
            drained_by + ACKNOWLEDGING_TIME <= Instant::now() || self.connections.borrow().is_empty()
        })
    }

    /// How old a new connection may become.
    pub(super) fn lifetime(&self) -> Duration {
        self.shared.settings.max_connection_age.mul_f64(0.9 + 0.2 * (self.shared.random)())
    }

    /// The moment has come that a connection was given: the first time to be told, the second time to leave.
    pub(super) fn move_on_from_here(&self, connection: &Connection, state: &mut State, now: Instant) {
        if state.told_to_leave {
            state.leave(now);
            connection.ask(state);
        } else {
            let notice = NOTICE.min(self.shared.settings.max_connection_age / 10);
            self.tell_to_leave(connection, state, notice, now);
        }
    }

    fn announce(&self, connection: &Connection, wait: Duration, now: Instant) {
        let state = &mut *connection.state();
        if state.phase.is_served() {
            self.tell_to_leave(connection, state, wait, now);
        }
    }

    fn tell_to_leave(&self, connection: &Connection, state: &mut State, wait: Duration, now: Instant) {
        (state.leaves, state.told_to_leave) = (now + wait, true);
        if connection.form() == Form::Sequenced {
            let reconnect_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            state.say_text(&ServerMessage::Draining { reconnect_in_ms }.to_json((self.shared.clock)()));
            connection.flush_now(state);
        }
    }

    /// Saves where a connection stands that was given its last message, and says goodbye.
    pub(super) async fn part(&self, connection: &Rc<Connection>) {
        let consumer = connection.state().session.passport().consumer.clone();
        let saved = tokio::time::timeout(SAVING, self.shared.positions.save_in_turn(&consumer)).await;
        if !matches!(saved, Ok(Ok(()))) {
            tracing::debug!("a client leaves before its position is saved");
        }
        let mut state = connection.state();
        if state.phase.is_saving_position() {
            let (code, reason) = self.reason_to_leave(&state);
            connection.close(&mut state, code, reason, Instant::now());
        }
    }

    /// Whether what the connection is to be told is in this lane.
    fn is_here(&self, state: &State) -> bool {
        self.generations.borrow().current(state.session.passport().tenant()).is_some()
    }

    /// Whether the tenant was elsewhere since the connection began, and is here again.
    fn has_come_back(&self, state: &State) -> bool {
        self.generations.borrow().has_come_back(state.session.passport().tenant(), state.generation)
    }

    fn reason_to_leave(&self, state: &State) -> (CloseCode, &'static str) {
        if self.drained_by.get().is_some() {
            (CloseCode::GoingAway, "the gateway is shutting down")
        } else if !self.is_here(state) || self.has_come_back(state) {
            (CloseCode::GoingAway, "the messages have moved within the service; connect again")
        } else {
            (CloseCode::ConnectionAge, "the connection has reached its greatest age")
        }
    }

    /// Ends every connection that is left.
    pub(super) async fn say_farewell(&self) {
        let now = Instant::now();
        for connection in self.connections.borrow().values() {
            let mut state = connection.state();
            if !state.phase.is_closing() {
                connection.close(&mut state, CloseCode::GoingAway, "the gateway is shutting down", now);
            }
        }
        self.tasks.close();
        let left = async {
            while !self.connections.borrow().is_empty() {
                self.deserted.notified().await;
            }
            self.tasks.wait().await;
        };
        let _ = tokio::time::timeout(FAREWELL, left).await;
        // What the others have acknowledged is saved even if they do not answer.
        let silent: Vec<_> = self.connections.borrow().values().cloned().collect();
        for connection in silent {
            self.forget(&connection);
        }
    }
}

/// A moment in each of as many equal parts of a time, ascending.
fn spread(count: usize, over: Duration, random: fn() -> f64) -> impl Iterator<Item = Duration> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let part = over.checked_div(count).unwrap_or_default();
    (0..count).map(move |place| part * place + part.mul_f64(random()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_lie_evenly_over_the_time() {
        let over = Duration::from_secs(20);
        for random in [|| 0.0, || 0.5, || 0.999] {
            let moments: Vec<_> = spread(1_000, over, random).collect();
            assert_eq!(moments.len(), 1_000);
            for (place, moment) in (0..).zip(&moments) {
                let part = Duration::from_millis(20);
                assert!(part * place <= *moment && *moment < part * (place + 1), "{place}: {moment:?}");
            }
            assert_eq!(spread(3, Duration::ZERO, random).collect::<Vec<_>>(), [Duration::ZERO; 3]);
            assert_eq!(spread(0, over, random).count(), 0);
        }
    }
}
