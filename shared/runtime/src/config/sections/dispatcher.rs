//! The dispatcher, and where the webhooks of each tenant go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::format::duration;

/// Sending of messages that were not received, by other channels.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DispatcherConfig {
    /// The shard whose messages this dispatcher sends.
    #[schemars(range(min = 0, max = 63))]
    pub shard: u16,
    /// Tenants of which facts say when users connect and disconnect.
    #[schemars(extend("items" = { "type": "string", "format": "tenant" }))]
    pub presence: Vec<String>,
    /// Time that such a change must last before a fact says so.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub presence_settles_after: Duration,
    /// Where the webhooks of each tenant go, by the tenant's name. They have no variables.
    pub webhooks: BTreeMap<String, TenantWebhookConfig>,
}

impl Default for DispatcherConfig {
    fn default() -> Self {
        Self {
            shard: 0,
            presence: Vec::new(),
            presence_settles_after: Duration::from_secs(5),
            webhooks: BTreeMap::new(),
        }
    }
}

/// Where the webhooks of one tenant go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantWebhookConfig {
    /// URL to which the messages are posted.
    #[schemars(with = "String", extend("format" = "webhook-url"))]
    pub url: String,
    /// File with the keys that sign them, `whsec_` and 24 to 64 bytes in Base64, one on each line; during a rotation there are
    /// two.
    #[schemars(length(min = 1))]
    pub key_file: PathBuf,
}
