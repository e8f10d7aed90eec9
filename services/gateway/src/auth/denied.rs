//! Why a request does not get what it asks for: the status, the code and the words of the answer.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use tidings_access::Refusal;
use tidings_streams::consumers::ConsumerNameError;
use tidings_streams::users::{UserName, UserNameError};

use super::authenticate::ADMIN_SCOPE;
use crate::api::query::QueryError;
use crate::api::upgrade::UpgradeError;
use crate::audit::Refused;
use crate::auth::disabled_users::Barred;
use crate::limits::Exceeded;

/// Why a request does not become a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denied {
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    #[error("tenant {0:?} is not served here")]
    Tenant(String),
    #[error("the token's `scope` claim does not contain {ADMIN_SCOPE}")]
    NoAdmin(UserName),
    #[error("{1}")]
    Barred(UserName, Barred),
    #[error(transparent)]
    User(#[from] UserNameError),
    #[error(transparent)]
    Consumer(#[from] ConsumerNameError),
}

impl Denied {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Upgrade(error) => error.status(),
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Refused(refusal) => refusal.status(),
            Self::Exceeded(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Tenant(_) | Self::Consumer(_) | Self::User(_) | Self::NoAdmin(_) => StatusCode::FORBIDDEN,
            Self::Barred(_, barred) => barred.status(),
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Upgrade(error) => error.code(),
            Self::Query(error) => error.code(),
            Self::Refused(refusal) => refusal.code(),
            Self::Exceeded(exceeded) => exceeded.code(),
            Self::Tenant(_) => "TENANT_UNKNOWN",
            Self::NoAdmin(_) => "SCOPE_MISSING",
            Self::Barred(_, barred) => barred.code(),
            Self::User(_) => "CLAIM_SUB",
            Self::Consumer(_) => "CONSUMER_NAME",
        }
    }

    /// When another attempt is worth it, if that is known.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(Refusal::KeysUnavailable { retry_after }) => Some(*retry_after),
            Self::Exceeded(exceeded) => Some(exceeded.retry_after()),
            Self::Barred(_, Barred::Unknown | Barred::Unreadable) => Some(Duration::from_secs(5)),
            _ => None,
        }
    }

    /// The same for the audit log.
    pub(crate) fn at(&self, what: &'static str, from: IpAddr) -> Refused<'_> {
        let (status, code) = (self.status(), self.code());
        Refused { what, status, code, why: self, who: self.who(), from }
    }

    /// Who it is, where a good token says so.
    fn who(&self) -> Option<&UserName> {
        match self {
            Self::NoAdmin(who) | Self::Barred(who, _) => Some(who),
            _ => None,
        }
    }
}
