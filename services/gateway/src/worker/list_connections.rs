//! Telling which connections there are, and ending some of them on request, a share at a time.
//!
//! Bounded in time and memory, whatever is asked: so many connections are looked at and so many bytes
//! written, and whoever asks goes on behind the last one.

use std::ops::Bound;
use std::rc::Rc;

use tidings_model::Tenant;
use tidings_protocol::close::CloseCode;
use tidings_streams::connections::{ConnectionReport, Operation, Ordinal, Page, Search, Traffic};
use tokio::time::Instant;

use super::Shard;
use super::connection::Connection;
use crate::audit;
use crate::replica::unix_seconds;
use crate::worker::connection::state::State;

/// Connections that are looked at.
const SHARE: usize = 4096;
/// Bytes of reports after which a page is full.
const PAGE: usize = 64 * 1024;

/// What is asked of a shard.
pub(crate) struct Survey {
    pub(crate) operation: Operation,
    pub(crate) tenant: Tenant,
    /// `after` is an ordinal of this shard.
    pub(crate) search: Search,
}

impl Shard {
    /// The next connections that are meant; `next` is `None` at the shard's end.
    pub(super) fn survey(&self, survey: &Survey) -> Page {
        let (mut page, after) = (Page::default(), survey.search.after.number);
        let share = if survey.search.ordinal.is_some() { 1 } else { SHARE };
        let connections: Vec<Rc<Connection>> = {
            let connections = self.connections.borrow();
            let following = connections.range((Bound::Excluded(after), Bound::Unbounded));
            following.take(share).map(|(_, connection)| Rc::clone(connection)).collect()
        };
        let is_last = connections.len() < share;
        for connection in connections {
            page.next = Some(Ordinal { shard: self.index, number: connection.id });
            self.look_into(&connection, survey, &mut page.lines);
            if page.lines.len() >= PAGE {
                return page;
            }
        }
        if is_last {
            page.next = None;
        }
        page
    }

    fn look_into(&self, connection: &Rc<Connection>, survey: &Survey, lines: &mut Vec<u8>) {
        let mut state = connection.state();
        let consumer = &state.session.passport().consumer;
        let Survey { operation, tenant, search } = survey;
        let is_meant = consumer.tenant() == tenant
            && search.user.as_deref().is_none_or(|user| user == consumer.user())
            && search.ordinal.is_none_or(|ordinal| ordinal.number == connection.id)
            && !state.phase.is_closing();
        if !is_meant {
            return;
        }
        let report = self.report(connection, &state);
        if *operation == Operation::Close {
            audit::closed(&self.name(connection), consumer, connection.from, &search.by, None);
            let (code, text) = (CloseCode::ClosedOnRequest, "an administrator closed this connection");
            connection.close(&mut state, code, text, Instant::now());
        }
        // Fails for nothing that a report may have.
        if serde_json::to_writer(&mut *lines, &report).is_ok() {
            lines.push(b'\n');
        }
    }

    fn report(&self, connection: &Connection, state: &State) -> ConnectionReport {
        let (name, consumer) = (self.name(connection), &state.session.passport().consumer);
        let seconds = unix_seconds((self.shared.clock)()).saturating_sub(connection.since.into());
        // A minute at least, so that the first seconds do not look like a flood.
        let minutes = f64::from(u32::try_from(seconds.max(60)).unwrap_or(u32::MAX)) / 60.0;
        let per_minute = |messages: u32| (f64::from(messages) / minutes * 10.0).round() / 10.0;
        let Traffic { sent, received } = state.messages;
        ConnectionReport {
            id: name.to_string(),
            tenant: consumer.tenant().clone(),
            user: consumer.user().to_owned(),
            device: consumer.device().to_owned(),
            gateway: name.gateway,
            address: connection.from.to_string(),
            since: connection.since.into(),
            subscriptions: state.session.topics().map(str::to_owned).collect(),
            acknowledged: self.received(state).map(|position| position.to_string()),
            sent: self.position(state, state.sent).to_string(),
            messages: state.messages,
            per_minute: Traffic { sent: per_minute(sent), received: per_minute(received) },
        }
    }
}
