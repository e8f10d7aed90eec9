//! What a dispatcher is made of: catalogs, stores, channels, and where they send to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidings_catalog::Catalogs;
use tidings_channels::{Channel, Target, WebhookTarget};
use tidings_metrics::Registry;
use tidings_model::{ChannelKind, ShardNumber, Tenant};
use tidings_streams::consumers::ConsumerStore;
use tidings_streams::deliveries::Deliveries;
use tidings_streams::preferences::PreferenceStore;
use tidings_streams::users::Users;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::unsubscribe::UnsubscribeLinks;

/// The channels that are configured, by their kinds.
pub type Channels = BTreeMap<ChannelKind, Arc<dyn Channel>>;

/// Where deliveries go.
#[async_trait]
pub trait Targets: Send + Sync {
    /// The target of a tenant's user on a channel, or `None` if there is none.
    async fn target(&self, tenant: &Tenant, user: &str, channel: ChannelKind) -> Option<Target>;
}

/// The webhook of each tenant that has one.
#[derive(Debug, Default)]
pub struct TenantWebhooks(pub BTreeMap<Tenant, WebhookTarget>);

#[async_trait]
impl Targets for TenantWebhooks {
    async fn target(&self, tenant: &Tenant, _user: &str, channel: ChannelKind) -> Option<Target> {
        let webhook = self.0.get(tenant).filter(|_| channel == ChannelKind::Webhook)?;
        Some(Target::Webhook(webhook.clone()))
    }
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
