//! What limits have refused, and what tenants take of them.

use tidings_metrics::{Counter, Snapshot};

use crate::figures::{PUBLISHED, REFUSALS, TENANT_CONNECTIONS, TENANT_DELIVERED, TENANT_REFUSALS};

/// A limit that refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    AddressAttempts,
    UserAttempts,
    Connections,
    TenantConnections,
    UserConnections,
    Messages,
    UserMessages,
    Frames,
    Bytes,
    Published,
    ProducerRequests,
    ProducerEvents,
}

impl Limit {
    const ALL: [(Self, &'static str); 12] = [
        (Self::AddressAttempts, "attempts_per_minute_per_address"),
        (Self::UserAttempts, "attempts_per_minute_per_user"),
        (Self::Connections, "max_connections"),
        (Self::TenantConnections, "connections_per_tenant"),
        (Self::UserConnections, "connections_per_user"),
        (Self::Messages, "messages_per_minute"),
        (Self::UserMessages, "user_messages_per_minute"),
        (Self::Frames, "frames_per_minute"),
        (Self::Bytes, "bytes_per_minute"),
        (Self::Published, "publish_per_minute"),
        (Self::ProducerRequests, "producer_requests_per_minute_per_address"),
        (Self::ProducerEvents, "producer_events_per_minute"),
    ];
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counted {
    Refused(Limit),
    /// So many messages to connections.
    Delivered(u64),
    Published,
}

/// What a tenant, or those of no tenant, take of the gateway.
#[derive(Debug, Default)]
pub(super) struct Usage {
    refusals: [Counter; Limit::ALL.len()],
    delivered: Counter,
    published: Counter,
}

impl Usage {
    pub(super) fn count(&self, counted: Counted) {
        match counted {
            Counted::Refused(limit) => self.refusals[limit as usize].increment(),
            Counted::Delivered(messages) => self.delivered.add(messages),
            Counted::Published => self.published.increment(),
        }
    }

    /// Adds it to that of all, and shows it as that of a tenant with so many connections.
    pub(super) fn show(&self, tenant: Option<(&str, usize)>, snapshot: &mut Snapshot) {
        let refused =
            Limit::ALL.iter().zip(&self.refusals).map(|((_, name), counter)| (*name, counter.get()));
        for (limit, refused) in refused {
            snapshot.count(&REFUSALS, &[limit], refused);
            // Most tenants meet no limit.
            if let Some((tenant, _)) = tenant.filter(|_| refused > 0) {
                snapshot.count(&TENANT_REFUSALS, &[tenant, limit], refused);
            }
        }
        if let Some((tenant, connections)) = tenant {
            snapshot.count(&TENANT_CONNECTIONS, &[tenant], u64::try_from(connections).unwrap_or(u64::MAX));
            snapshot.count(&TENANT_DELIVERED, &[tenant], self.delivered.get());
            snapshot.count(&PUBLISHED, &[tenant], self.published.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_counted_by_itself() {
        let usage = Usage::default();
        for (index, (limit, _)) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index);
            (0..=index).for_each(|_| usage.count(Counted::Refused(limit)));
            assert_eq!(usage.refusals[index].get(), index as u64 + 1);
        }
    }
}
