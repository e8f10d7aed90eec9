//! Closes connections of disabled users and revoked tokens, and has the others use the newest catalogs.
//!
//! Checked by the worker's tick and only when something has changed, all connections at once: so a change takes effect
//! within a tick, and a thousand changes cost no more than one. A new connection is checked when it is registered, so that
//! none slips in between its handshake and a change.

use std::rc::Rc;
use std::sync::Arc;

use tidings_protocol::close::CloseCode;
use tokio::time::Instant;

use super::connection::Connection;
use super::{Worker, yield_after};
use crate::audit;
use crate::auth::UserBlock;

impl Worker {
    /// Checks every connection, if the disabled users or revoked tokens have changed.
    pub(super) async fn revalidate_users(&self) {
        let version = self.context.users.version();
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
    pub(super) async fn revalidate_catalogs(self: &Rc<Self>) {
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
