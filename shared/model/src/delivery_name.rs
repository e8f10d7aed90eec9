//! Names of deliveries: one fallback of one message for one user.
//!
//! The name has the position of the event and the number of its message, which survive rebuilds and moves, and not the place
//! of an envelope. So a message that reaches a user by several addresses, or is read again, is one delivery.

use std::fmt;

use crate::subject::{self, Token};
use crate::{Position, ShardNumber, Tenant};

/// The first token of all subjects about deliveries.
const ROOT: &str = "deliveries";
/// Where a delivery waits until it is due.
const WAITING: &str = "waiting";
/// Where it lies when it is due, until it is decided.
const DUE: &str = "due";
/// Where what became of it is told.
const FACTS: &str = "facts";
/// Where it is noted how far the envelopes of a shard were read.
const THROUGH: &str = "through";

/// Names a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeliveryName {
    /// The tenant.
    pub tenant: Tenant,
    /// The user.
    pub user: String,
    /// The position of the event.
    pub event: Position,
    /// The number of the message among those of the event, from 0.
    pub message: u32,
    /// The number of the fallback among those of the message, from 0.
    pub fallback: u32,
}

impl DeliveryName {
    /// The subject of everything about deliveries.
    pub const ALL: &str = "deliveries.>";

    /// The subject on which the delivery waits since the fact with this sequence, 0 for none. Each wait has one of its own:
    /// nats-server purges it when it stores what is due, which it may do twice, the second time while the next wait has begun.
    #[must_use]
    pub fn waiting(&self, since: u64) -> String {
        if since == 0 { self.on(WAITING) } else { format!("{}.{since}", self.on(WAITING)) }
    }

    /// The subject on which the delivery is due.
    #[must_use]
    pub fn due(&self) -> String {
        self.on(DUE)
    }

    /// The subject of what became of the delivery.
    #[must_use]
    pub fn facts(&self) -> String {
        self.on(FACTS)
    }

    /// All three before the first attempt, for a query. What waits after an attempt is not among them, but facts are.
    #[must_use]
    pub fn any(&self) -> String {
        self.on("*")
    }

    fn on(&self, kind: &str) -> String {
        format!("{ROOT}.{kind}.{}.{}.{self}", self.tenant, Token(Some(&self.user)))
    }

    /// The subject of a tenant's deliveries that are due.
    #[must_use]
    pub fn all_due(tenant: &Tenant) -> String {
        format!("{ROOT}.{DUE}.{tenant}.>")
    }

    /// The subject of a tenant's deliveries that wait, or of one of its users.
    #[must_use]
    pub fn all_waiting(tenant: &Tenant, user: Option<&str>) -> String {
        of_user(WAITING, tenant, user)
    }

    /// The subject of what became of a tenant's deliveries, or of those to one of its users.
    #[must_use]
    pub fn all_facts(tenant: &Tenant, user: Option<&str>) -> String {
        of_user(FACTS, tenant, user)
    }

    /// The subject of everything about deliveries to a user.
    #[must_use]
    pub fn all_of(tenant: &Tenant, user: &str) -> String {
        of_user("*", tenant, Some(user))
    }

    /// The subject on which it is noted how far the envelopes of a shard were read.
    #[must_use]
    pub fn through(shard: ShardNumber) -> String {
        format!("{ROOT}.{THROUGH}.{shard}")
    }

    /// Returns the delivery that a subject is about. Returns `None` for another subject.
    #[must_use]
    pub fn parse(subject: &str) -> Option<Self> {
        let tokens: Vec<_> = subject.split('.').collect();
        let (&[ROOT, WAITING | DUE | FACTS, tenant, user, name] | &[ROOT, WAITING, tenant, user, name, _]) =
            tokens.as_slice()
        else {
            return None;
        };
        Self::of_user(&Tenant::parse(tenant).ok()?, &subject::decode(user)?, name)
    }

    /// Returns the delivery to a user that is displayed like this. Returns `None` for another text.
    #[must_use]
    pub fn of_user(tenant: &Tenant, user: &str, name: &str) -> Option<Self> {
        let mut parts = name.rsplitn(3, '-');
        let (fallback, message) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let event = parts.next()?.parse().ok()?;
        Some(Self { tenant: tenant.clone(), user: user.to_owned(), event, message, fallback })
    }
}

/// `<event's position>-<message>-<fallback>`, without tenant and user.
impl fmt::Display for DeliveryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}-{}", self.event, self.message, self.fallback)
    }
}

fn of_user(kind: &str, tenant: &Tenant, user: Option<&str>) -> String {
    match user {
        None => format!("{ROOT}.{kind}.{tenant}.>"),
        Some(user) => format!("{ROOT}.{kind}.{tenant}.{}.>", subject::encode(user)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_lead_back() {
        let tenant = Tenant::parse("ops").unwrap();
        for user in ["ada", "john.doe@example.com", "*", ">", "-"] {
            let event = "18f3a0c2b41-42".parse().unwrap();
            let name = DeliveryName {
                tenant: tenant.clone(),
                user: user.to_owned(),
                event,
                message: 1,
                fallback: 2,
            };
            for subject in [name.waiting(0), name.due(), name.facts()] {
                assert_eq!(DeliveryName::parse(&subject).as_ref(), Some(&name), "{subject}");
                assert_eq!(subject.matches('.').count(), name.any().matches('.').count());
            }
            assert_eq!(DeliveryName::parse(&name.waiting(2)).as_ref(), Some(&name));
            assert_ne!(name.waiting(2), name.waiting(1));
            assert_eq!(name.to_string(), "18f3a0c2b41-42-1-2");
            assert_eq!(DeliveryName::of_user(&tenant, user, "18f3a0c2b41-42-1-2").as_ref(), Some(&name));
        }
        for wrong in [
            "deliveries.through.0",
            "deliveries.due.ops.ada",
            "deliveries.due.ops.ada.18f3a0c2b41-42-1",
            "deliveries.due.ops.-.18f3a0c2b41-42-1-2",
            "deliveries.other.ops.ada.18f3a0c2b41-42-1-2",
            "events.due.ops.ada.18f3a0c2b41-42-1-2",
        ] {
            assert_eq!(DeliveryName::parse(wrong), None, "{wrong}");
        }
    }
}
