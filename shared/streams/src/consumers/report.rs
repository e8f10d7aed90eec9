//! Reports a consumer to an operator.

use serde::Serialize;
use tidings_model::{Address, Grants, Position, Tenant, serialize_seconds};

use super::{ConsumerName, ConsumerState, StoredConsumer, Subscriptions, UNCHOSEN};
use crate::envelopes::{EnvelopeFollower, FollowError, TranslateError, translate_position};
use crate::topology::{ExtentError, HomeError, Topology};

/// A consumer as shown to operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumerReport {
    /// The tenant.
    pub tenant: Tenant,
    /// The user.
    pub user: String,
    /// The user's device.
    pub device: String,
    /// Everything up to here was received.
    pub position: Position,
    /// The number of envelopes after the position at the consumer's addresses, before any filter.
    pub pending: u64,
    /// When a gateway last saw the device, in seconds since 1970; shown as RFC 3339.
    #[serde(serialize_with = "serialize_seconds")]
    pub last_seen: u64,
    /// The gateway to which the device was last connected; `None` after it left.
    pub connected: Option<String>,
    /// The addresses that the user's token opened when the device last connected.
    pub grants: Grants,
    /// Topics and their filters.
    pub subscriptions: Subscriptions,
}

/// Creates the report of a consumer. JetStream counts the pending envelopes, at the cost of a short-lived consumer.
pub async fn report(
    topology: &Topology,
    name: &ConsumerName,
    stored: &StoredConsumer,
) -> Result<ConsumerReport, ReportError> {
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
        grants: state.grants.clone(),
        subscriptions: topics(state),
    })
}

fn topics(state: &ConsumerState) -> Subscriptions {
    let mut topics = state.subscriptions.clone();
    topics.remove(UNCHOSEN);
    topics
}

async fn pending(topology: &Topology, tenant: &Tenant, stored: &StoredConsumer) -> Result<u64, ReportError> {
    let state = &stored.state;
    let topics = state.subscriptions.keys().filter_map(|topic| Address::topic(topic).ok());
    let addresses: Vec<_> = state.grants.iter().cloned().chain(topics).collect();
    if addresses.is_empty() {
        return Ok(0);
    }
    let home = topology.home(tenant).await?;
    let carried = translate_position(topology, tenant, &home.placement, state.position).await?;
    // For a position of a stream that no longer exists, all envelopes are pending.
    let sequence = carried.map_or(0, |carried| carried.position.sequence);
    let after = Position { epoch: home.topology.extent().await?.epoch, sequence };
    let of = (tenant, home.placement.current.place.generation);
    Ok(EnvelopeFollower::at_addresses(&home.topology, after, of, &addresses).await?.pending())
}

/// The report cannot be created now.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The placement of the tenant is not known.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The position belongs to another generation and cannot be translated.
    #[error(transparent)]
    Carry(#[from] TranslateError),
    /// The state of the stream of envelopes cannot be read.
    #[error(transparent)]
    Extent(#[from] ExtentError),
    /// The envelopes cannot be counted.
    #[error(transparent)]
    Follow(#[from] FollowError),
}
