//! What a request hears that asks for too much.

use std::time::Duration;

/// After what time a connection may have become free; nobody knows.
const WHEN_FULL: Duration = Duration::from_secs(5);

/// Why a request is refused although there is nothing wrong with it: 429 Too Many Requests (RFC 6585, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error("too many requests with a token from your address; try again after `Retry-After`")]
    AttemptsOfAddress(Duration),
    #[error("too many attempts to connect of this user; try again after `Retry-After`")]
    AttemptsOfUser(Duration),
    #[error("this user has {0} connections here, which is as many as may be; close one")]
    ConnectionsOfUser(usize),
    #[error("this tenant's users have {0} connections here, which is as many as may be; try again later")]
    ConnectionsOfTenant(usize),
}

impl Exceeded {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::AttemptsOfAddress(_) | Self::AttemptsOfUser(_) => "TOO_MANY_ATTEMPTS",
            Self::ConnectionsOfUser(_) => "TOO_MANY_CONNECTIONS_OF_USER",
            Self::ConnectionsOfTenant(_) => "TOO_MANY_CONNECTIONS_OF_TENANT",
        }
    }

    /// When another attempt is worth it.
    pub(crate) fn retry_after(self) -> Duration {
        match self {
            Self::AttemptsOfAddress(wait) | Self::AttemptsOfUser(wait) => wait,
            Self::ConnectionsOfUser(_) | Self::ConnectionsOfTenant(_) => WHEN_FULL,
        }
    }
}
