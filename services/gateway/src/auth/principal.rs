//! The user that a verified token names.

use std::net::IpAddr;
use std::num::NonZeroU64;

use tidings_catalog::PublishClaims;
use tidings_model::{Grants, Tenant};
use tidings_streams::consumers::ConsumerName;
use tidings_streams::users::UserName;
use time::OffsetDateTime;

/// The user and device of a connection, with all that the token says about them.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// Tenant, user and device.
    pub(crate) consumer: ConsumerName,
    /// The addresses that the token grants.
    pub(crate) grants: Grants,
    /// The claims that decide what the user may publish.
    pub(crate) publish_claims: PublishClaims,
    pub(crate) expires_at: OffsetDateTime,
    /// When the token was issued, in seconds since 1970, if it says so.
    pub(crate) issued_at: Option<NonZeroU64>,
}

impl Principal {
    pub(crate) fn tenant(&self) -> &Tenant {
        self.consumer.tenant()
    }

    /// The user's name; every user with a durable consumer has one.
    pub(crate) fn user(&self) -> Option<UserName> {
        UserName::new(self.tenant().clone(), self.consumer.user()).ok()
    }
}

/// An administrator of a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Administrator {
    pub(crate) tenant: Tenant,
    /// The claim `sub`.
    pub(crate) user: String,
    pub(crate) from: IpAddr,
}
