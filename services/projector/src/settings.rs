//! Settings of a projector.

use std::collections::BTreeMap;

use tidings_model::{ShardNumber, Tenant};

use crate::sources::Sources;

/// Settings of a projector.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the durable consumer, the same for all projectors of a shard; shards other than 0 append their
    /// number.
    pub consumer: String,
    /// The largest number of events and envelopes in flight.
    pub in_flight: usize,
    /// Larger events are rejected.
    pub max_event_bytes: usize,
    /// The shard that it writes.
    pub shard: ShardNumber,
    /// The configured shards of tenants without a record; all others are in shard 0.
    pub shards: BTreeMap<Tenant, ShardNumber>,
    /// The sources, by which a message that was rejected without a name is mapped when it is retried.
    pub sources: Sources,
}
