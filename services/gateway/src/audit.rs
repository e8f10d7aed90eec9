//! The audit log: who was refused, and what administrators did. Lines of the log with the target `audit`.
//!
//! Each says what happened, to whom, because of what and from where; none contains a token or any part of
//! one. What administrators do is always written. Refusals cost whoever causes them nothing, so they are bounded: per
//! minute so many of one address and so many in all are written, the others are counted, and the counts
//! are written at the minute's end.

mod ledger;

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tidings_model::Tenant;
use tidings_streams::connections::ConnectionName;
use tidings_streams::users::UserName;
use tokio_util::sync::CancellationToken;

use self::ledger::Ledger;

/// The span of time in which refusals are counted.
const SPAN: Duration = Duration::from_secs(60);

/// The log of refusals.
#[derive(Default)]
pub(crate) struct Audit {
    ledger: Mutex<Ledger>,
}

/// Somebody was refused.
pub(crate) struct Refused<'r> {
    /// What was refused: `handshake`, `authenticate`, `administration`.
    pub(crate) what: &'static str,
    pub(crate) status: StatusCode,
    /// The code that the client is told.
    pub(crate) code: &'r str,
    /// What the client is told.
    pub(crate) why: &'r dyn Display,
    /// If a good token says so.
    pub(crate) who: Option<&'r UserName>,
    pub(crate) from: IpAddr,
}

/// An administrator, as a good token says.
#[derive(Debug, Clone)]
pub(crate) struct Administrator {
    pub(crate) tenant: Tenant,
    /// The claim `sub`.
    pub(crate) user: String,
    pub(crate) from: IpAddr,
}

impl Audit {
    /// Writes a refusal, or counts it. Only 401, 403 and 429 are about who may do what.
    pub(crate) fn refused(&self, refused: &Refused<'_>) {
        let Refused { what, status, code, why, who, from } = refused;
        let is_about_access = matches!(
            *status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
        );
        if !is_about_access || !self.ledger().admits(*from) {
            return;
        }
        let (who, why) = (who.map(ToString::to_string), why.to_string());
        let (who, why, status) = (who.as_deref(), why.as_str(), status.as_u16());
        tracing::info!(target: "audit", what, who, status, code, why, %from, "refused");
    }

    /// Writes the counts of what was left out, every minute and at the end, until cancelled.
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

/// An administrator did something to something.
pub(crate) fn done(by: &Administrator, what: &'static str, to: &dyn Display, why: Option<&str>) {
    let Administrator { tenant, user, from } = by;
    let (who, to) = (format!("{tenant}/{user}"), to.to_string());
    let (who, to) = (who.as_str(), to.as_str());
    tracing::info!(target: "audit", what, who, to, why, %from, "administration");
}

/// The gateway ended a connection because somebody wanted it to.
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
