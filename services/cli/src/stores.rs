//! The streams and buckets of the configuration: their settings, and what a gateway opens of them.

use std::sync::Arc;
use std::time::Duration;

use tidings_contacts::{Contacts, Keyring};
use tidings_runtime::config::{Config, ConsumerStoreKind, Storage};
use tidings_streams::consumers::{
    ConsumerSettings, ConsumerStore, JetStreamConsumers, KvConsumers, OpenConsumersError,
};
use tidings_streams::contacts::SealedContacts;
use tidings_streams::keys::ApiKeys;
use tidings_streams::preferences::PreferenceStore;
use tidings_streams::users::Users;
use tidings_streams::{BucketSettings, Client, Receipts, Settings, Topology, TopologyError};
use tokio::sync::watch;

use crate::failure::{Failure, line};

/// How long to wait before the streams are checked again.
const RETRY: Duration = Duration::from_millis(250);

/// The configured settings of the streams.
pub(crate) fn stream_settings(config: &Config) -> Settings {
    let (nats, config) = (&config.nats, &config.streams);
    Settings {
        api_prefix: nats.api_prefix.clone(),
        replicas: config.replicas,
        in_memory: config.storage == Storage::Memory,
        events_max_age: config.events_max_age,
        envelopes_max_age: config.envelopes_max_age,
        rejected_max_age: config.rejected_max_age,
        events_max_bytes: config.events_max_bytes,
        envelopes_max_bytes: config.envelopes_max_bytes,
        rejected_max_bytes: config.rejected_max_bytes,
        duplicate_window: config.duplicate_window,
    }
}

/// The streams that a gateway reads and the buckets that it writes.
pub(crate) struct Stores {
    pub(crate) topology: Topology,
    pub(crate) consumers: Arc<dyn ConsumerStore>,
    pub(crate) users: Users,
    pub(crate) keys: ApiKeys,
    pub(crate) receipts: Receipts,
    pub(crate) preferences: PreferenceStore,
    pub(crate) contacts: Contacts,
}

impl Stores {
    /// Creates the gateway's own buckets if they are missing, and checks existing ones.
    pub(crate) async fn open(config: &Config, topology: Topology) -> Result<Self, Failure> {
        let consumers = consumers(config, &topology).await?;
        let users = users(config, &topology).await?;
        let keys = keys(config, &topology).await?;
        let window = config.streams.duplicate_window;
        let receipts = Receipts::open(topology.context(), buckets(config), window).await?;
        let preferences = preferences(config, &topology).await?;
        let contacts = contacts(config, &topology).await?;
        Ok(Self { topology, consumers, users, keys, receipts, preferences, contacts })
    }
}

/// Waits until everything exists that projectors create, and logs what is missing.
pub(crate) async fn when_there(
    config: &Config,
    client: &Client,
    said: &watch::Sender<String>,
) -> Result<Stores, Failure> {
    loop {
        let opening = async {
            let topology = Topology::find(client, &stream_settings(config)).await?;
            Stores::open(config, topology).await
        };
        match Box::pin(opening).await {
            Err(error) if may_pass(&error) => {
                let reason = line(&*error);
                if said.send_if_modified(|said| {
                    *said != reason && {
                        said.clone_from(&reason);
                        true
                    }
                }) {
                    tracing::warn!("the gateway waits: {reason}");
                }
                tokio::time::sleep(RETRY).await;
            }
            opened => return opened,
        }
    }
}

fn may_pass(failure: &Failure) -> bool {
    let bucket = failure.downcast_ref::<OpenConsumersError>().and_then(|error| match error {
        OpenConsumersError::Bucket(error) => Some(error),
        OpenConsumersError::OldServer { .. } => None,
    });
    failure.downcast_ref::<TopologyError>().or(bucket).is_some_and(TopologyError::may_pass)
}

/// Opens the configured store of consumers.
pub(crate) async fn consumers(
    config: &Config,
    topology: &Topology,
) -> Result<Arc<dyn ConsumerStore>, Failure> {
    let settings = ConsumerSettings {
        replicas: config.streams.replicas,
        in_memory: config.streams.storage == Storage::Memory,
        inactive_after: config.consumers.inactive_after,
    };
    Ok(match config.consumers.store {
        ConsumerStoreKind::Kv => Arc::new(KvConsumers::open(topology.context(), &settings).await?),
        ConsumerStoreKind::JetStream => Arc::new(JetStreamConsumers::open(topology, &settings).await?),
    })
}

/// Opens the store of disabled users and revoked tokens.
pub(crate) async fn users(config: &Config, topology: &Topology) -> Result<Users, Failure> {
    Ok(Users::open(topology.context(), buckets(config)).await?)
}

/// Opens the store of API keys.
pub(crate) async fn keys(config: &Config, topology: &Topology) -> Result<ApiKeys, Failure> {
    Ok(ApiKeys::open(topology.context(), buckets(config)).await?)
}

/// Opens the store of what users want to be told.
pub(crate) async fn preferences(config: &Config, topology: &Topology) -> Result<PreferenceStore, Failure> {
    Ok(PreferenceStore::open(topology.context(), buckets(config)).await?)
}

/// Opens the store of users' contacts, with the configured keys.
pub(crate) async fn contacts(config: &Config, topology: &Topology) -> Result<Contacts, Failure> {
    let keyring = keyring(config)?;
    Ok(Contacts::new(SealedContacts::open(topology.context(), buckets(config)).await?, keyring))
}

/// The keys of contacts, if there are any.
fn keyring(config: &Config) -> Result<Option<Keyring>, Failure> {
    let keys = config.contacts.keys.as_ref().map(|keys| Keyring::parse(keys.expose()));
    Ok(keys.transpose().map_err(|error| format!("`contacts.keys` cannot be used: {error}"))?)
}

/// How buckets are stored.
pub(crate) fn buckets(config: &Config) -> BucketSettings {
    let in_memory = config.streams.storage == Storage::Memory;
    BucketSettings { replicas: config.streams.replicas, in_memory }
}
