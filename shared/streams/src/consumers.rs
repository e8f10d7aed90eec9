//! Where durable consumers live: the lasting place of a (tenant, user, device) in the envelopes.
//!
//! One trait, [`ConsumerStore`], with two stores. [`KvConsumers`] keeps each consumer as one entry
//! of a key-value bucket and is the default: a consumer that is away costs a few hundred bytes on
//! disk and nothing else. [`JetStreamConsumers`] makes each one a real JetStream durable consumer
//! that other NATS clients can read, for up to a thousand users.
//!
//! What both promise:
//!
//! - A save is a [`Change`] that is merged with what is stored, so gateways that hold connections
//!   of the same device never undo each other's writes. Within an epoch a position only moves
//!   forward; which epoch is the current one is what the caller says.
//! - Saving the same change again, because an answer got lost, changes nothing.
//! - A consumer that nobody saves for the configured time disappears; every write renews it.
//! - A user has at most [`MAX_DEVICES`] consumers.
//!
//! Coalescing writes, pending counts and what a consumer seen for the first time starts with are
//! the gateway's matter.

mod contention;
mod devices;
mod error;
mod jetstream;
mod kv;
mod lease;
mod name;
mod report;
mod state;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tidings_model::{Position, ShardNumber, Tenant};

use crate::bucket::BucketSettings;

pub use devices::MAX_DEVICES;
pub use error::{ConsumerStoreError, OpenConsumersError};
pub use jetstream::JetStreamConsumers;
pub use kv::KvConsumers;
pub use name::{ConsumerName, ConsumerNameError};
pub use report::{ConsumerReport, ReportError, report};
pub use state::{Change, ConsumerState, Edit, Presence, REFRESH, Subscription, Subscriptions, TopicFilter};

/// Where durable consumers live.
///
/// Every method waits for NATS for as long as the client's request timeout says and then fails
/// with [`ConsumerStoreError::Unavailable`]; repeating it is safe.
#[async_trait]
pub trait ConsumerStore: Send + Sync + 'static {
    /// The consumer, or `None` if there is none. In a cluster what is read may be older than the
    /// newest write by the time that replication takes; absence is confirmed by the leader.
    async fn load(&self, name: &ConsumerName) -> Result<Option<StoredConsumer>, ConsumerStoreError>;

    /// Whether it keeps consumers of tenants whose envelopes are in this shard.
    fn serves(&self, _shard: ShardNumber) -> bool {
        true
    }

    /// Creates again what the store is kept in, if that is gone. Returns whether it was: whoever knows consumers saves
    /// them again.
    async fn check(&self) -> Result<bool, ConsumerStoreError> {
        Ok(false)
    }

    /// Merges a change into the consumer, creates the consumer if there is none, and returns what
    /// is stored now.
    ///
    /// `known` is what an earlier load or save returned; it saves a read, and may be out of date.
    async fn save(
        &self,
        name: &ConsumerName,
        known: Option<&StoredConsumer>,
        change: &Change,
    ) -> Result<StoredConsumer, ConsumerStoreError>;

    /// The consumers of a tenant, or of one of its users, in no particular order, read as they are
    /// asked for.
    ///
    /// A consumer that exists all the while is among them. One that is written meanwhile may come
    /// twice, the newer one last. An entry that cannot be read is an error in its place, and others follow;
    /// after [`ConsumerStoreError::Unavailable`] nothing follows.
    fn list(&self, tenant: &Tenant, user: Option<&str>) -> ConsumerList;

    /// Moves a consumer to a position, forward or back, or returns `None` if there is none.
    ///
    /// What a gateway acknowledged by the position before does not move it again: see
    /// [`ConsumerState::resets`].
    async fn reset(
        &self,
        name: &ConsumerName,
        position: Position,
    ) -> Result<Option<StoredConsumer>, ConsumerStoreError>;

    /// Removes a consumer and says whether there was one. A gateway that still serves the device
    /// creates it again with its next save.
    async fn remove(&self, name: &ConsumerName) -> Result<bool, ConsumerStoreError>;

    /// Removes all consumers of a user and returns how many there were.
    async fn purge_user(&self, tenant: &Tenant, user: &str) -> Result<u64, ConsumerStoreError>;
}

/// Consumers as they are read.
pub type ConsumerList = BoxStream<'static, Result<(ConsumerName, StoredConsumer), ConsumerStoreError>>;

/// A consumer as a store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConsumer {
    /// Where it stands and what it asked for.
    pub state: ConsumerState,
    /// How many envelopes wait for it, if the store knows: only the JetStream store does.
    pub pending: Option<u64>,
    /// The write that stored it; 0 in a store without compare-and-set.
    pub(crate) revision: u64,
}

impl From<ConsumerState> for StoredConsumer {
    /// As a store without compare-and-set has it.
    fn from(state: ConsumerState) -> Self {
        Self { state, pending: None, revision: 0 }
    }
}

/// How consumers are kept.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// Copies in a cluster.
    pub replicas: usize,
    /// In memory instead of on disk.
    pub in_memory: bool,
    /// A consumer that is not saved for so long disappears. NATS knows whole seconds of it, and
    /// none below one.
    pub inactive_after: Duration,
}

impl ConsumerSettings {
    fn bucket(&self) -> BucketSettings {
        BucketSettings { replicas: self.replicas, in_memory: self.in_memory }
    }
}
