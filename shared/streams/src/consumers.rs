//! Stores durable consumers: the position, subscriptions and grants of each (tenant, user, device).
//!
//! There is one trait, [`ConsumerStore`], and two stores. [`KvConsumers`] keeps each consumer as one entry of a
//! key-value bucket and is the default: a disconnected consumer costs nats-server about 400 bytes of memory, which are
//! its key and its expiry and do not depend on the record, and as much on disk. So records stay JSON that people can read.
//! [`JetStreamConsumers`] makes each one a real JetStream durable consumer that other NATS clients can read, for up to
//! a thousand users.
//!
//! Both stores guarantee:
//!
//! - A save is a [`Change`] that is merged with the stored state, so gateways that hold connections of the same device
//!   never undo each other's writes. A position only moves forward: within an epoch by sequence, else to the newer
//!   generation of the tenant's envelopes, however late a save comes. Only a reset leads back.
//! - Saving the same change again, because an answer was lost, changes nothing.
//! - A consumer that is not saved for the configured time expires; every write renews it.
//! - A user has at most [`MAX_DEVICES`] consumers.
//!
//! The gateway decides when to write, counts pending envelopes, and initializes a new consumer.

mod contention;
mod devices;
mod error;
mod jetstream;
mod kv;
mod lease;
mod name;
mod places;
mod report;
mod state;
mod subscription;
mod watch;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tidings_model::{PlacedPosition, ShardNumber, Tenant};

use crate::nats::BucketSettings;

/// The bucket of [`KvConsumers`].
pub(crate) const BUCKET: &str = "CONSUMERS";

pub use devices::MAX_DEVICES;
pub use error::{ConsumerStoreError, OpenConsumersError};
pub use jetstream::JetStreamConsumers;
pub use kv::KvConsumers;
pub use name::{ConsumerName, ConsumerNameError};
pub use places::{OpenPlace, PlaceName, Places, PlacesChange, place_order};
pub use report::{ConsumerReport, ReportError, report};
pub use state::{Change, ConsumerState, Edit, Presence, REFRESH};
pub use subscription::{Subscription, Subscriptions, TopicFilter, UNCHOSEN};
pub use watch::{ConsumerNews, ConsumerWatch};

/// A store of durable consumers.
///
/// Every method waits for NATS for the client's request timeout and then fails with
/// [`ConsumerStoreError::Unavailable`]; it is safe to repeat it.
#[async_trait]
pub trait ConsumerStore: Send + Sync + 'static {
    /// Loads the consumer, or `None` if there is none. In a cluster the result may be older than the newest write by
    /// the replication delay; the leader confirms that a consumer does not exist.
    async fn load(&self, name: &ConsumerName) -> Result<Option<StoredConsumer>, ConsumerStoreError>;

    /// Whether this store keeps consumers of tenants whose envelopes are in this shard.
    fn serves(&self, _shard: ShardNumber) -> bool {
        true
    }

    /// Recreates the bucket or stream of the store if it has disappeared. Returns whether it had since the last time, whoever
    /// has recreated it: callers that cache consumers then save them again.
    async fn check(&self) -> Result<bool, ConsumerStoreError> {
        Ok(false)
    }

    /// Merges a change into the consumer, or creates the consumer, and returns the stored state.
    ///
    /// `known` is the result of an earlier load or save. It saves a read, and may be out of date.
    async fn save(
        &self,
        name: &ConsumerName,
        known: Option<&StoredConsumer>,
        change: &Change,
    ) -> Result<StoredConsumer, ConsumerStoreError>;

    /// Follows the consumers of a tenant; `None` if the store cannot be followed.
    fn watch(&self, _tenant: &Tenant) -> Option<ConsumerWatch> {
        None
    }

    /// Lists the consumers of a tenant, or of one of its users, in no particular order. Reads them lazily.
    ///
    /// A consumer that exists during the whole listing is included. One that is written meanwhile may be listed twice,
    /// the newer state last. An unreadable entry is an error in its place, and others follow; after
    /// [`ConsumerStoreError::Unavailable`] nothing follows.
    fn list(&self, tenant: &Tenant, user: Option<&str>) -> ConsumerList;

    /// Moves a consumer to a position, forward or back, or returns `None` if there is none.
    ///
    /// A gateway that acknowledges based on the earlier position does not move it again: see [`ConsumerState::resets`].
    async fn reset(
        &self,
        name: &ConsumerName,
        position: PlacedPosition,
    ) -> Result<Option<StoredConsumer>, ConsumerStoreError>;

    /// Removes a consumer and returns whether there was one. A gateway that still serves the device creates it again
    /// with its next save.
    async fn remove(&self, name: &ConsumerName) -> Result<bool, ConsumerStoreError>;

    /// Removes all consumers of a user and returns their number.
    async fn purge_user(&self, tenant: &Tenant, user: &str) -> Result<u64, ConsumerStoreError>;
}

/// A stream of consumers.
pub type ConsumerList = BoxStream<'static, Result<(ConsumerName, StoredConsumer), ConsumerStoreError>>;

/// A consumer as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConsumer {
    /// Its position, subscriptions and grants.
    pub state: ConsumerState,
    /// The number of pending envelopes, if the store knows it: only the JetStream store does.
    pub pending: Option<u64>,
    /// The revision of the entry; 0 if there is none in the store any more, and in a store without compare-and-set.
    pub(crate) revision: u64,
}

impl From<ConsumerState> for StoredConsumer {
    /// The form of a store without compare-and-set.
    fn from(state: ConsumerState) -> Self {
        Self { state, pending: None, revision: 0 }
    }
}

/// How consumers are stored.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// The number of replicas in a cluster.
    pub replicas: usize,
    /// Whether they are in memory instead of on disk.
    pub in_memory: bool,
    /// A consumer that is not saved for this long expires. NATS counts whole seconds, with a minimum of one.
    pub inactive_after: Duration,
}

impl ConsumerSettings {
    fn bucket(&self) -> BucketSettings {
        BucketSettings { replicas: self.replicas, in_memory: self.in_memory }
    }
}
