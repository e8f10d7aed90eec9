//! Ending the connections of those who may not be here any more, and having the others go by the newest catalogs.
//!
//! Looked at by the shard's tick and only when something has changed, all connections at once: so a change
//! takes effect within a tick, and a thousand changes cost no more than one. A newcomer is looked at when it
//! is adopted, so that none slips in between its handshake and a change.

use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;

use tidings_protocol::close::CloseCode;
use tidings_streams::connections::{ConnectionName, Ordinal};
use tokio::time::Instant;

use super::connection::Connection;
use super::{FAIR_SHARE, Shard};
use crate::audit;
use crate::auth::disabled_users::Barred;

impl Shard {
    /// Looks at everybody, if what is known of users has changed.
    pub(super) async fn review(&self) {
        let version = self.shared.users.version();
        if self.reviewed.replace(version) == version {
            return;
        }
        let connections: Vec<_> = self.connections.borrow().values().cloned().collect();
        for share in connections.chunks(FAIR_SHARE) {
            for connection in share {
                self.bar(connection);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Has everybody go by the newest catalogs, if they have changed. Keys are taken from tokens; those of a token that
    /// came before stay until the client brings another one.
    pub(super) async fn take_up_catalogs(self: &Rc<Self>) {
        let catalogs = self.shared.catalogs();
        if Arc::ptr_eq(&self.catalogs.replace(Arc::clone(&catalogs)), &catalogs) {
            return;
        }
        let connections: Vec<_> = self.connections.borrow().values().cloned().collect();
        for share in connections.chunks(FAIR_SHARE) {
            for connection in share {
                let mut state = connection.state();
                for effect in state.session.take_up(&catalogs) {
                    self.act(connection, &mut state, effect);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends the connection if its user may not be here any more, or not with this token.
    pub(super) fn bar(&self, connection: &Rc<Connection>) {
        let mut state = connection.state();
        if state.phase.is_closing() {
            return;
        }
        let passport = state.session.passport();
        let issued_at = passport.issued_at.map(NonZeroU64::get);
        let checked = self.shared.users.check(passport.tenant(), passport.consumer.user(), issued_at);
        let Err(barred) = checked else { return };
        let (code, by, why) = match &barred {
            Barred::Unknown | Barred::Unreadable => (CloseCode::TryAgainLater, "tidings", None),
            Barred::Disabled(mark) => (CloseCode::UserDisabled, mark.by.as_str(), mark.reason.as_deref()),
            Barred::Revoked(revocation) => {
                (CloseCode::TokenRevoked, revocation.by.as_str(), revocation.reason.as_deref())
            }
        };
        audit::closed(&self.name(connection), &passport.consumer, connection.from, by, why);
        connection.close(&mut state, code, &barred.to_string(), Instant::now());
    }

    /// What the connection is called among those of all gateways.
    pub(super) fn name(&self, connection: &Connection) -> ConnectionName {
        let ordinal = Ordinal { shard: self.index, number: connection.id };
        ConnectionName { gateway: self.shared.name.clone(), ordinal }
    }
}
