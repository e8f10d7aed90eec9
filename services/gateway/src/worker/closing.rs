//! Connections that end before their clients want: moved to other gateways, of disabled users, or on request.
//!
//! All of a gateway's connections move when it ends, and each when it has reached its age. A client of `tidings.v1` is told
//! beforehand, so that it can open its next connection first. When the time has come, the connection is given nothing more;
//! a plain client is asked to acknowledge what it was given; the consumer's position is saved; and only then comes the
//! Close. So a client that reconnects at once, to any gateway, does not receive again what it has acknowledged. When the
//! gateway ends, its connections are closed evenly over the time for draining, in random order, so that the other gateways
//! meet a stream of clients and not a wave.
//!
//! Disabled users and revoked tokens are looked at by the worker's tick and only when something has changed, all
//! connections at once: so a change takes effect within a tick, and a thousand changes cost no more than one. A new
//! connection is checked when it is registered, so that none slips in between its handshake and a change. The other
//! connections use the newest catalogs from then on.
//!
//! Administrators list connections and close some of them, a page at a time. That is bounded in time and memory, whatever
//! is asked: so many connections are looked at and so many bytes written for a page, and the asking side continues behind
//! the last one.

use std::cmp::Reverse;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidings_model::Tenant;
use tidings_protocol::close::CloseCode;
use tidings_streams::connections::{Operation, Ordinal, Page, Search};
use tokio::time::Instant;

use super::connection::{ACKNOWLEDGING_TIME, Connection, State};
use super::follow_tenant::is_misplaced;
use super::{Worker, yield_after};
use crate::audit;
use crate::auth::UserBlock;

/// How long saving a position may take.
const SAVING: Duration = Duration::from_secs(2);
/// How long clients may take to answer the Close when the worker ends.
const CLOSING: Duration = Duration::from_secs(2);
/// Connections that are looked at for a page.
const SHARE: usize = 4096;
/// Bytes of reports after which a page is full.
const PAGE: usize = 64 * 1024;

/// Moving connections to other gateways.
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

/// Closing connections of disabled users and revoked tokens.
impl Worker {
    /// Has the connections keep to the disabled users, revoked tokens and catalogs as they are now.
    pub(super) async fn revalidate(self: &Rc<Self>) {
        self.revalidate_users().await;
        self.revalidate_catalogs().await;
    }

    /// Checks every connection, if the disabled users or revoked tokens have changed.
    async fn revalidate_users(&self) {
        let version = self.context.authenticator.users_version();
        if self.users_version.replace(version) == version {
            return;
        }
        let connections: Vec<_> = self.connections.borrow().values().cloned().collect();
        for (index, connection) in connections.iter().enumerate() {
            self.close_if_blocked(connection);
            yield_after(index).await;
        }
    }

    /// Has every session use the newest catalogs, if they have changed. Grants are taken from tokens; those of an earlier
    /// token stay until the client sends another one.
    async fn revalidate_catalogs(self: &Rc<Self>) {
        let catalogs = Arc::clone(&self.context.catalogs.borrow());
        if Arc::ptr_eq(&self.catalogs.replace(Arc::clone(&catalogs)), &catalogs) {
            return;
        }
        let connections: Vec<_> = self.connections.borrow().values().cloned().collect();
        for (index, connection) in connections.iter().enumerate() {
            {
                let mut state = connection.state();
                for effect in state.session().update_catalogs(&catalogs) {
                    self.apply(connection, &mut state, effect);
                }
            }
            yield_after(index).await;
        }
    }

    /// Closes the connection if its user may not be connected any more, or not with this token.
    pub(super) fn close_if_blocked(&self, connection: &Rc<Connection>) {
        let state = &mut *connection.state();
        if state.is_closing() {
            return;
        }
        let principal = state.principal();
        let Err(block) = self.context.authenticator.check(principal) else { return };
        let (code, by, why) = match &block {
            UserBlock::Unknown | UserBlock::Unreadable => (CloseCode::TryAgainLater, "tidings", None),
            UserBlock::Disabled(mark) => (CloseCode::UserDisabled, mark.by.as_str(), mark.reason.as_deref()),
            UserBlock::Revoked(revocation) => {
                (CloseCode::TokenRevoked, revocation.by.as_str(), revocation.reason.as_deref())
            }
        };
        audit::closed(&self.name(connection), &principal.consumer, connection.from(), by, why);
        connection.close(state, code, &block.to_string(), Instant::now());
    }
}

/// Listing connections, and closing them on request.
impl Worker {
    /// The next connections of the tenant that the search finds behind an ordinal of this worker; `next` is `None` at the
    /// worker's last connection.
    pub(super) fn list_connections(&self, operation: Operation, tenant: &Tenant, search: &Search) -> Page {
        let mut page = Page::default();
        let share = if search.ordinal.is_some() { 1 } else { SHARE };
        let connections: Vec<Rc<Connection>> = {
            let connections = self.connections.borrow();
            let following = connections.range((Bound::Excluded(search.after.number), Bound::Unbounded));
            following.take(share).map(|(_, connection)| Rc::clone(connection)).collect()
        };
        let is_last = connections.len() < share;
        for connection in connections {
            page.next = Some(Ordinal { worker: self.index, number: connection.id() });
            self.list(&connection, operation, (tenant, search), &mut page.lines);
            if page.lines.len() >= PAGE {
                return page;
            }
        }
        if is_last {
            page.next = None;
        }
        page
    }

    fn list(
        &self,
        connection: &Connection,
        operation: Operation,
        (tenant, search): (&Tenant, &Search),
        lines: &mut Vec<u8>,
    ) {
        let state = &mut *connection.state();
        let consumer = &state.principal().consumer;
        let is_meant = consumer.tenant() == tenant
            && search.user.as_deref().is_none_or(|user| user == consumer.user())
            && search.device.as_deref().is_none_or(|device| device == consumer.device())
            && search.ordinal.is_none_or(|ordinal| ordinal.number == connection.id())
            && !state.is_closing();
        if !is_meant {
            return;
        }
        if operation == Operation::Close {
            audit::closed(&self.name(connection), consumer, connection.from(), &search.by, None);
        }
        let report = connection.report(state, self.name(connection), self.context.clock.unix_seconds());
        if operation == Operation::Close {
            let (code, text) = (CloseCode::ClosedOnRequest, "an administrator closed this connection");
            connection.close(state, code, text, Instant::now());
        }
        // Fails for nothing that a report may have.
        if serde_json::to_writer(&mut *lines, &report).is_ok() {
            lines.push(b'\n');
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
