//! Starts a dispatcher: its channels, and where they send to.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::Catalogs;
use tidings_channels::{Channels, SigningKey, WebhookTarget};
use tidings_dispatcher::{ContactTargets, Parts, PresenceSettings, UnsubscribeLinks};
use tidings_metrics::Registry;
use tidings_model::{ShardNumber, Tenant};
use tidings_runtime::config::{Config, SecretRule, TenantWebhookConfig};
use tidings_runtime::shutdown::Shutdown;
use tidings_runtime::telemetry;
use tidings_streams::deliveries::{Deliveries, GATEWAY_LEASE};
use tidings_streams::{Client, Retry, Topology, TopologyError};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::{configuration, connect_counted, stay_served, until_ended};
use crate::catalogs;
use crate::failure::Failure;
use crate::metrics::Serving;
use crate::reload::{self, Reason};
use crate::report::report;
use crate::stores;
use crate::unsubscribe;

/// `tidings dispatcher`.
pub(crate) async fn run(file: Option<&Path>) -> Result<ExitCode, Failure> {
    let config = configuration(file, SecretRule::Optional)?;
    let catalogs = catalogs::read(&config.schemas)?;
    webhooks(&config)?;
    let (shutdown, registry) = (Shutdown::new(), Registry::default());
    let telemetry = telemetry::start(&config.telemetry, "tidings-dispatcher", &registry)?;
    let _metrics = Serving::start(&config.telemetry, &registry)?;
    let client = connect_counted(&config, "tidings-dispatcher", &registry).await?;
    let (tenants, whole) = (catalogs.tenants(), (&shutdown, &registry));
    let current = reload::keep_current(&config, catalogs, None, whole, Reason::Hangup).await?;
    let finding = Box::pin(when_there(&config, &client));
    if let Some(topology) = shutdown.token().run_until_cancelled(finding).await {
        let topology = topology?;
        stay_served(&topology, &shutdown);
        let shard = ShardNumber(config.dispatcher.shard);
        start(&config, shard, current, topology, (&shutdown, &registry)).await?;
        tracing::info!(tenants, %shard, "dispatcher runs");
    }
    until_ended(shutdown, Duration::ZERO, telemetry).await
}

/// Waits until a projector has made the streams.
async fn when_there(config: &Config, client: &Client) -> Result<Topology, TopologyError> {
    let settings = stores::stream_settings(config);
    let mut retry = Retry::to("find the streams");
    loop {
        match Topology::find(client, &settings).await {
            Err(error) if error.may_pass() => retry.failed(&error),
            found => return found,
        }
        retry.wait().await;
    }
}

/// Starts the dispatcher of a shard as a task; its failure ends the process.
pub(crate) async fn start(
    config: &Config,
    shard: ShardNumber,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    topology: Topology,
    (shutdown, registry): (&Shutdown, &Registry),
) -> Result<(), Failure> {
    let (webhooks, contacts) = (webhooks(config)?, stores::contacts(config, &topology).await?);
    // Webhooks are needed only where there is one.
    let channels = Channels::new(config, !webhooks.is_empty() || contacts.is_on())?;
    if let Some(key) = channels.web_push_key() {
        tracing::info!(key, "browsers subscribe to notifications with this public key");
    }
    let clock = OffsetDateTime::now_utc;
    let parts = Parts {
        shard,
        catalogs,
        consumers: stores::consumers(config, &topology).await?,
        users: stores::users(config, &topology).await?,
        preferences: stores::preferences(config, &topology).await?,
        deliveries: Deliveries::open(&topology).await?,
        channels,
        unsubscribe: unsubscribe_links(config)?,
        targets: Arc::new(ContactTargets { webhooks, contacts, clock }),
        presence: presence(config)?,
        registry: registry.clone(),
        clock,
        random: fastrand::f64,
    };
    let (token, whole) = (shutdown.token(), shutdown.clone());
    shutdown.spawn("dispatcher", async move {
        if let Err(error) = Box::pin(tidings_dispatcher::run(topology, parts, token)).await {
            report(&error);
            whole.fail();
        }
    });
    Ok(())
}

/// The links of e-mails by which users unsubscribe, if they are configured.
fn unsubscribe_links(config: &Config) -> Result<Option<UnsubscribeLinks>, Failure> {
    let links = |url: &String| Ok(UnsubscribeLinks { url: url.clone(), keys: unsubscribe::keys(config)? });
    config.email.unsubscribe_url.as_ref().map(links).transpose()
}

/// Of which tenants it is told who is connected.
fn presence(config: &Config) -> Result<PresenceSettings, Failure> {
    let tenants = config.dispatcher.presence.iter().map(|tenant| Tenant::parse(tenant));
    let settling = config.dispatcher.presence_settles_after;
    Ok(PresenceSettings { tenants: tenants.collect::<Result<_, _>>()?, settling, lease: GATEWAY_LEASE })
}

/// Where the webhooks of tenants go.
pub(crate) fn webhooks(config: &Config) -> Result<BTreeMap<Tenant, WebhookTarget>, Failure> {
    let webhooks = config.dispatcher.webhooks.iter();
    webhooks.map(|(tenant, webhook)| Ok((Tenant::parse(tenant)?, target(tenant, webhook)?))).collect()
}

fn target(tenant: &str, webhook: &TenantWebhookConfig) -> Result<WebhookTarget, Failure> {
    let (key, file) = (format!("dispatcher.webhooks.{tenant}.key_file"), webhook.key_file.display());
    let text = std::fs::read_to_string(&webhook.key_file)
        .map_err(|error| format!("`{key}` is {file:?}, expected a file that can be read ({error})"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Vec<_> = lines
        .map(SigningKey::parse)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("`{key}` is {file:?}: {error}"))?;
    if keys.is_empty() {
        return Err(format!("`{key}` is {file:?}, which has no key; expected one on each line").into());
    }
    Ok(WebhookTarget { url: webhook.url.clone(), keys })
}
