//! What a dispatcher is made of: catalogs, stores, channels, and where they send to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidings_catalog::Catalogs;
use tidings_channels::{Channels, Target};
use tidings_contacts::ContactsError;
use tidings_metrics::Registry;
use tidings_model::{ChannelKind, ShardNumber, Tenant};
use tidings_streams::consumers::ConsumerStore;
use tidings_streams::deliveries::Deliveries;
use tidings_streams::preferences::PreferenceStore;
use tidings_streams::users::Users;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::unsubscribe::UnsubscribeLinks;

/// Where a delivery goes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Names it among those of its user, without saying what it is.
    pub id: String,
    /// Where it leads.
    pub target: Target,
}

/// Why it is unknown where a user is reached.
pub type Unreachable = ContactsError;

/// Where deliveries go.
#[async_trait]
pub trait Targets: Send + Sync {
    /// Where a tenant's user is reached by a channel.
    async fn targets(
        &self,
        tenant: &Tenant,
        user: &str,
        channel: ChannelKind,
    ) -> Result<Vec<Destination>, Unreachable>;

    /// Notes that a receiver has called a destination gone.
    async fn gone(&self, tenant: &Tenant, user: &str, id: &str, reason: &str);
}

/// Of which users it is told as facts that they connect and disconnect, and when.
#[derive(Debug, Clone, Default)]
pub struct PresenceSettings {
    /// The tenants.
    pub tenants: BTreeSet<Tenant>,
    /// For how long a change must last.
    pub settling: Duration,
    /// After how long without a renewal of its lease nobody is connected to a gateway.
    pub lease: Duration,
}

/// What a dispatcher is made of.
pub struct Parts {
    /// The shard whose envelopes it reads.
    pub shard: ShardNumber,
    /// The catalogs.
    pub catalogs: watch::Receiver<Arc<Catalogs>>,
    /// Where devices stand.
    pub consumers: Arc<dyn ConsumerStore>,
    /// Who is disabled.
    pub users: Users,
    /// What users want to be told, and when.
    pub preferences: PreferenceStore,
    /// What waits, is due, and became of it.
    pub deliveries: Deliveries,
    /// The channels.
    pub channels: Channels,
    /// The links of e-mails by which users unsubscribe, if they have some.
    pub unsubscribe: Option<UnsubscribeLinks>,
    /// Where they send to.
    pub targets: Arc<dyn Targets>,
    /// Of which users it is told that they connect and disconnect.
    pub presence: PresenceSettings,
    /// Where the figures of the dispatcher are collected.
    pub registry: Registry,
    /// The time.
    pub clock: fn() -> OffsetDateTime,
    /// A random number from 0 to 1.
    pub random: fn() -> f64,
}
