//! The access log: lines with the target `access` about a share of the connections (`gateway.access_log`), one when a
//! connection begins and one when it has ended.
//!
//! Whether a connection is logged is decided when it begins, so it has both lines or none. Nothing here is reached while
//! messages are delivered, and a connection that is not logged takes no memory for it. No line contains a token, a
//! message, or a text that the client chose for its Close.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use tidings_protocol::close::CloseCode;
use tidings_protocol::server::Form;
use tidings_streams::connections::{ConnectionName, Traffic};
use tidings_streams::consumers::ConsumerName;

use crate::worker::served_shard::ConnectionId;

/// What the lines of a worker's connections say besides what each knows itself: of those that are logged.
#[derive(Default)]
pub(super) struct AccessLog(RefCell<HashMap<ConnectionId, Logged>>);

struct Logged {
    /// The trace of the request that became the connection.
    trace: Option<Box<str>>,
    ending: Option<Ending>,
}

struct Ending {
    by: &'static str,
    code: u16,
    reason: Box<str>,
}

impl AccessLog {
    /// Logs this connection.
    pub(super) fn add(&self, id: ConnectionId, trace: Option<Box<str>>) {
        self.0.borrow_mut().insert(id, Logged { trace, ending: None });
    }

    /// Remembers who ended the connection, how and why.
    pub(super) fn note_ending(&self, id: ConnectionId, by: &'static str, code: u16, reason: &str) {
        if let Some(logged) = self.0.borrow_mut().get_mut(&id) {
            logged.ending = Some(Ending { by, code, reason: reason.into() });
        }
    }

    /// Writes the line of a connection that begins.
    pub(super) fn write_beginning(
        &self,
        id: ConnectionId,
        name: impl FnOnce() -> ConnectionName,
        consumer: &ConsumerName,
        (from, form): (IpAddr, Form),
    ) {
        let logged = self.0.borrow();
        let Some(Logged { trace, .. }) = logged.get(&id) else { return };
        let connection = name().to_string();
        let (tenant, user, device) = (consumer.tenant().as_str(), consumer.user(), consumer.device());
        let form = match form {
            Form::Plain => "plain",
            Form::Sequenced => "sequenced",
        };
        let (connection, trace) = (connection.as_str(), trace.as_deref());
        tracing::info!(target: "access", connection, tenant, user, device, %from, form, trace, "connected");
    }

    /// Writes the line of a connection that has ended, after so many seconds.
    pub(super) fn write_ending(
        &self,
        id: ConnectionId,
        name: impl FnOnce() -> ConnectionName,
        consumer: &ConsumerName,
        (from, seconds, messages): (IpAddr, u64, Traffic),
    ) {
        let Some(Logged { trace, ending }) = self.0.borrow_mut().remove(&id) else { return };
        let connection = name().to_string();
        let (tenant, user, device) = (consumer.tenant().as_str(), consumer.user(), consumer.device());
        let (by, code, reason) = match &ending {
            Some(Ending { by, code, reason }) => (*by, *code, &**reason),
            None => ("gateway", CloseCode::GoingAway.into(), "the worker has ended"),
        };
        let (connection, trace, Traffic { sent, received }) =
            (connection.as_str(), trace.as_deref(), messages);
        tracing::info!(
            target: "access", connection, tenant, user, device, %from, by, code, reason, seconds, sent, received, trace,
            "disconnected"
        );
    }
}
