//! The audit log: refused requests and administrators' actions. Lines of the log with the target `audit`.
//!
//! Each line says what happened, to which user, why, and from which address; none contains a token or a part of one.
//! Administrators' actions are always logged. Refusals cost an attacker nothing, so their number is bounded: per minute
//! so many of one address and so many in all are logged, the others are counted, and the counts are logged at the end of
//! the minute.

mod ledger;

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tidings_streams::connections::ConnectionName;
use tidings_streams::users::UserName;
use tokio_util::sync::CancellationToken;

use self::ledger::Ledger;
use crate::auth::Administrator;
use crate::error::ApiError;

/// The time in which refusals are counted.
const SPAN: Duration = Duration::from_secs(60);

/// The log of refusals.
#[derive(Default)]
pub(crate) struct Audit {
    ledger: Mutex<Ledger>,
}

impl Audit {
    /// Logs a refused request.
    pub(crate) fn refused(&self, what: &'static str, error: &ApiError, from: IpAddr) {
        let code = error.code();
        self.refused_with(what, (code.status(), code.as_str()), error, error.user(), from);
    }

    /// Logs a refusal with this status and code, or counts it. Only 401, 403 and 429 are about access.
    pub(crate) fn refused_with(
        &self,
        what: &'static str,
        (status, code): (StatusCode, &str),
        why: &dyn Display,
        who: Option<&UserName>,
        from: IpAddr,
    ) {
        let is_about_access = matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
        );
        if !is_about_access || !self.ledger().admits(from) {
            return;
        }
        let (who, why) = (who.map(ToString::to_string), why.to_string());
        let (who, why, status) = (who.as_deref(), why.as_str(), status.as_u16());
        tracing::info!(target: "audit", what, who, status, code, why, %from, "refused");
    }

    /// Logs the counts of refusals that were not logged, every minute and at the end, until cancelled.
    pub(crate) async fn run(&self, cancelled: &CancellationToken) {
        while cancelled.run_until_cancelled(tokio::time::sleep(SPAN)).await.is_some() {
            self.close_span();
        }
        self.close_span();
    }

    fn close_span(&self) {
        let summary = self.ledger().close();
        for (from, refusals) in summary.addresses {
            tracing::info!(target: "audit", %from, refusals, "refusals that were not written");
        }
        if summary.others > 0 {
            let refusals = summary.others;
            tracing::info!(target: "audit", refusals, "refusals from other addresses that were not written");
        }
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs an administrator's action.
pub(crate) fn done(by: &Administrator, what: &'static str, to: &dyn Display, why: Option<&str>) {
    let Administrator { tenant, user, from } = by;
    let (who, to) = (format!("{tenant}/{user}"), to.to_string());
    let (who, to) = (who.as_str(), to.as_str());
    tracing::info!(target: "audit", what, who, to, why, %from, "administration");
}

/// Logs a connection that was closed on request.
pub(crate) fn closed(
    connection: &ConnectionName,
    user: &dyn Display,
    from: IpAddr,
    by: &str,
    why: Option<&str>,
) {
    let (connection, user) = (connection.to_string(), user.to_string());
    let (connection, user) = (connection.as_str(), user.as_str());
    tracing::info!(target: "audit", what = "close", connection, user, by, why, %from, "a connection was closed");
}
