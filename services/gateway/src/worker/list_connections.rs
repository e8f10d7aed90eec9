//! Lists connections, and closes some of them on request, a page at a time.
//!
//! Bounded in time and memory, whatever is asked: so many connections are looked at and so many bytes written for a page,
//! and the asking side continues behind the last one.

use std::ops::Bound;
use std::rc::Rc;

use tidings_model::Tenant;
use tidings_protocol::close::CloseCode;
use tidings_streams::connections::{ConnectionReport, Operation, Ordinal, Page, Search, Traffic};
use tokio::time::Instant;

use super::Worker;
use super::connection::{Connection, State};
use crate::audit;

/// Connections that are looked at for a page.
const SHARE: usize = 4096;
/// Bytes of reports after which a page is full.
const PAGE: usize = 64 * 1024;

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
        let report = self.report(connection, state);
        if operation == Operation::Close {
            let (code, text) = (CloseCode::ClosedOnRequest, "an administrator closed this connection");
            connection.close(state, code, text, Instant::now());
        }
        // Fails for nothing that a report may have.
        if serde_json::to_writer(&mut *lines, &report).is_ok() {
            lines.push(b'\n');
        }
    }

    fn report(&self, connection: &Connection, state: &mut State) -> ConnectionReport {
        let subscriptions = state.session().topics().map(str::to_owned).collect();
        let (name, consumer) = (self.name(connection), &state.principal().consumer);
        let seconds = self.context.clock.unix_seconds().saturating_sub(connection.since());
        // A minute at least, so that the first seconds do not look like a flood.
        let minutes = f64::from(u32::try_from(seconds.max(60)).unwrap_or(u32::MAX)) / 60.0;
        let per_minute = |messages: u32| (f64::from(messages) / minutes * 10.0).round() / 10.0;
        let Traffic { sent, received } = state.traffic();
        ConnectionReport {
            id: name.to_string(),
            tenant: consumer.tenant().clone(),
            user: consumer.user().to_owned(),
            device: consumer.device().to_owned(),
            gateway: name.gateway,
            address: connection.from().to_string(),
            since: connection.since(),
            subscriptions,
            acknowledged: state.acknowledged_position().map(|position| position.to_string()),
            sent: state.position(state.sent()).to_string(),
            messages: state.traffic(),
            per_minute: Traffic { sent: per_minute(sent), received: per_minute(received) },
        }
    }
}
