//! Connections move to other gateways: all of them when the gateway ends, and each when it has reached its age.
//!
//! A client of `tidings.v1` is told beforehand, so that it can open its next connection first. When the time has come, the
//! connection is given nothing more; a plain client is asked to acknowledge what it was given; the consumer's position is
//! saved; and only then comes the Close. So a client that reconnects at once, to any gateway, does not receive again what
//! it has acknowledged.
//!
//! When the gateway ends, its connections are closed evenly over the time for draining, in random order, so that the other
//! gateways meet a stream of clients and not a wave.

use std::cmp::Reverse;
use std::rc::Rc;
use std::time::Duration;

use tidings_protocol::close::CloseCode;
use tokio::time::Instant;

use super::Worker;
use super::connection::{ACKNOWLEDGING_TIME, Connection, State};
use super::follow_tenant::is_misplaced;

/// How long saving a position may take.
const SAVING: Duration = Duration::from_secs(2);
/// How long clients may take to answer the Close when the worker ends.
const CLOSING: Duration = Duration::from_secs(2);

impl Worker {
    /// Closes every connection within this time, those too that are still to come.
    pub(super) fn drain(&self, over: Duration) {
        let now = Instant::now();
        self.drained_by.set(Some(now + over));
        self.spread_out(self.connections.borrow().values().cloned().collect(), over, now);
    }

    fn spread_out(&self, mut connections: Vec<Rc<Connection>>, over: Duration, now: Instant) {
        let random = self.context.random;
        connections.sort_by_cached_key(|_| random().to_bits());
        for (connection, wait) in connections.iter().zip(spread(connections.len(), over, random)) {
            self.announce(connection, wait, now);
        }
        // Every timer is looked at now, and then at its new time.
        let connections = self.connections.borrow();
        *self.timers.borrow_mut() = connections.keys().map(|id| Reverse((now, *id))).collect();
    }

    /// Gives a new connection its time if the worker is draining already.
    pub(super) fn drain_new(&self, connection: &Connection, now: Instant) {
        if let Some(drained_by) = self.drained_by.get() {
            let left = drained_by.saturating_duration_since(now);
            self.announce(connection, left.mul_f64((self.context.random)()), now);
        }
    }

    /// Whether all connections have been closed, or have had the time to be.
    pub(super) fn is_drained(&self) -> bool {
        self.drained_by.get().is_some_and(|drained_by| {
            drained_by + ACKNOWLEDGING_TIME <= Instant::now() || self.connections.borrow().is_empty()
        })
    }

    fn announce(&self, connection: &Connection, wait: Duration, now: Instant) {
        let state = &mut *connection.state();
        if state.is_served() {
            connection.announce_close(state, wait, (now, self.now()));
        }
    }

    /// Saves the position of a connection that was given its last envelope, and closes it.
    pub(super) async fn save_and_close(&self, connection: &Rc<Connection>) {
        let consumer = connection.state().principal().consumer.clone();
        let saved = tokio::time::timeout(SAVING, self.context.consumers.save_in_turn(&consumer)).await;
        if !matches!(saved, Ok(Ok(()))) {
            tracing::debug!("a client leaves before its position is saved");
        }
        let mut state = connection.state();
        if state.is_saving_position() {
            let (code, reason) = self.reason_to_leave(&state);
            connection.close(&mut state, code, reason, Instant::now());
        }
    }

    fn reason_to_leave(&self, state: &State) -> (CloseCode, &'static str) {
        if self.drained_by.get().is_some() {
            (CloseCode::GoingAway, "the gateway is shutting down")
        } else if is_misplaced(state) {
            (CloseCode::GoingAway, "the messages have moved within the service; connect again")
        } else {
            (CloseCode::ConnectionAge, "the connection has reached its greatest age")
        }
    }

    /// Closes every connection that is left.
    pub(super) async fn close_all(&self) {
        let now = Instant::now();
        for connection in self.connections.borrow().values() {
            let mut state = connection.state();
            if !state.is_closing() {
                connection.close(&mut state, CloseCode::GoingAway, "the gateway is shutting down", now);
            }
        }
        self.tasks.close();
        let left = async {
            while !self.connections.borrow().is_empty() {
                self.emptied.notified().await;
            }
            self.tasks.wait().await;
        };
        let _ = tokio::time::timeout(CLOSING, left).await;
        // What the others have acknowledged is saved even if they do not answer.
        let silent: Vec<_> = self.connections.borrow().values().cloned().collect();
        for connection in silent {
            self.unregister(&connection);
        }
    }
}

/// A time in each of as many equal parts of a span, ascending.
fn spread(count: usize, over: Duration, random: fn() -> f64) -> impl Iterator<Item = Duration> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let part = over.checked_div(count).unwrap_or_default();
    (0..count).map(move |place| part * place + part.mul_f64(random()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_closed_evenly_over_the_time() {
        let over = Duration::from_secs(20);
        for random in [|| 0.0, || 0.5, || 0.999] {
            let times: Vec<_> = spread(1_000, over, random).collect();
            assert_eq!(times.len(), 1_000);
            for (place, time) in (0..).zip(&times) {
                let part = Duration::from_millis(20);
                assert!(part * place <= *time && *time < part * (place + 1), "{place}: {time:?}");
            }
            assert_eq!(spread(3, Duration::ZERO, random).collect::<Vec<_>>(), [Duration::ZERO; 3]);
            assert_eq!(spread(0, over, random).count(), 0);
        }
    }
}
