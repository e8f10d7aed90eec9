//! The user that a verified token names.

use std::num::NonZeroU64;

use tidings_catalog::PublishClaims;
use tidings_model::{Grants, Tenant};
use tidings_streams::consumers::ConsumerName;
use tidings_streams::users::UserName;
use time::OffsetDateTime;

/// The user and device of a connection, with all that the token says about them.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Tenant, user and device.
    pub consumer: ConsumerName,
    /// The addresses that the token grants.
    pub grants: Grants,
    /// The claims that decide what the user may publish.
    pub publish_claims: PublishClaims,
    /// When the token expires.
    pub expires_at: OffsetDateTime,
    /// When the token was issued, in seconds since 1970, if it says so.
    pub issued_at: Option<NonZeroU64>,
}

impl Principal {
    /// The tenant of the user.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        self.consumer.tenant()
    }

    /// The user's name; every user with a durable consumer has one.
    #[must_use]
    pub fn user(&self) -> Option<UserName> {
        UserName::new(self.tenant().clone(), self.consumer.user()).ok()
    }
}
