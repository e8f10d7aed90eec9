//! Subjects about whether users are connected: the facts, and the leases of the gateways that have them.
//!
//! The facts lie among those about deliveries, so that one subscription to `deliveries.facts.<tenant>.>` reads both in order.

use crate::Tenant;
use crate::subject::{self, Token};

/// The subject of the facts that a user connects and disconnects.
#[must_use]
pub fn presence_subject(tenant: &Tenant, user: &str) -> String {
    format!("deliveries.facts.{tenant}.{}.presence", Token(Some(user)))
}

/// The subject of those of all users of a tenant.
#[must_use]
pub fn presence_of_tenant(tenant: &Tenant) -> String {
    format!("deliveries.facts.{tenant}.*.presence")
}

/// The subject of the leases of all gateways.
pub const ALL_GATEWAY_LEASES: &str = "deliveries.gateways.*";

/// The subject of the lease of a gateway.
#[must_use]
pub fn gateway_lease(gateway: &str) -> String {
    format!("deliveries.gateways.{}", Token(Some(gateway)))
}

/// The gateway whose lease lies on a subject. `None` for another subject.
#[must_use]
pub fn leased_gateway(subject: &str) -> Option<String> {
    subject::decode(subject.strip_prefix("deliveries.gateways.")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeliveryName;

    #[test]
    fn subjects_lead_back_and_are_not_those_of_deliveries() {
        for gateway in ["host-1a2b", "a.b *"] {
            assert_eq!(leased_gateway(&gateway_lease(gateway)).as_deref(), Some(gateway));
        }
        let tenant = Tenant::parse("ops").unwrap();
        let subject = presence_subject(&tenant, "ada@example.com");
        assert_eq!(DeliveryName::parse(&subject), None);
        assert_eq!(subject.split('.').count(), presence_of_tenant(&tenant).split('.').count());
        assert_eq!(leased_gateway(&subject), None);
    }
}
