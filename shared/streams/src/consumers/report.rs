//! What an operator wants to know of a consumer.

use serde::{Serialize, Serializer};
use tidings_model::{Address, Keys, Position, Tenant};

use super::{ConsumerName, StoredConsumer, Subscriptions};
use crate::follower::{EnvelopeFollower, FollowError};
use crate::topology::Topology;

/// A consumer as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumerReport {
    /// The application.
    pub tenant: Tenant,
    /// The user.
    pub user: String,
    /// The user's device.
    pub device: String,
    /// Everything up to here was received.
    #[serde(serialize_with = "as_text")]
    pub position: Position,
    /// Envelopes that lie behind the position at the consumer's addresses, before any filter.
    pub pending: u64,
    /// When a gateway last knew of the device, in seconds since 1970-01-01T00:00:00Z.
    pub last_seen: u64,
    /// The gateway that the device was last connected to, until it left.
    pub connected: Option<String>,
    /// The addresses that the user's token opened when the device last connected.
    pub keys: Keys,
    /// Topics and what they are narrowed to.
    pub subscriptions: Subscriptions,
}

/// Looks at a consumer. The pending envelopes are counted by JetStream, at the cost of a
/// short-lived consumer.
pub async fn report(
    topology: &Topology,
    name: &ConsumerName,
    stored: &StoredConsumer,
) -> Result<ConsumerReport, FollowError> {
    let state = &stored.state;
    let pending = match stored.pending {
        Some(pending) => pending,
        None => pending(topology, name.tenant(), stored).await?,
    };
    Ok(ConsumerReport {
        tenant: name.tenant().clone(),
        user: name.user().to_owned(),
        device: name.device().to_owned(),
        position: state.position,
        pending,
        last_seen: state.last_seen,
        connected: state.connected.clone(),
        keys: state.keys.clone(),
        subscriptions: state.subscriptions.clone(),
    })
}

async fn pending(topology: &Topology, tenant: &Tenant, stored: &StoredConsumer) -> Result<u64, FollowError> {
    let state = &stored.state;
    let topics = state.subscriptions.keys().filter_map(|topic| Address::topic(topic).ok());
    let addresses: Vec<_> = state.keys.iter().cloned().chain(topics).collect();
    if addresses.is_empty() {
        return Ok(0);
    }
    Ok(EnvelopeFollower::at_addresses(topology, state.position, tenant, &addresses).await?.pending())
}

fn as_text<S: Serializer>(position: &Position, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(position)
}
