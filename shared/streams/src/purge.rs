//! Removing everything that is addressed to a user.
//!
//! Gateways keep envelopes in memory, and there is no list of gateways. So the purge is itself
//! told in the streams, in order, where every gateway reads of it, however late: first the envelopes
//! are removed, then a notice follows them on `purges.<tenant>.<address kind>.<address id>`. It stays as long as events do:
//! what is projected anew must not bring back what was removed.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::PurgeError;
use bytes::Bytes;
use tidings_model::{Address, EnvelopeSubject, ShardNumber, Tenant, headers};

use crate::placements::PlacementError;
use crate::topology::{Topology, TopologyError};

/// The first token of notices in the first shard.
const ROOT: &str = "purges";

/// The subject that holds every notice in a shard.
pub(crate) fn any_notice(shard: ShardNumber) -> String {
    format!("{}.>", shard.name(ROOT))
}

/// Removes all envelopes at an address from every place where the tenant's are or were, and has every gateway forget them;
/// returns how many there were. Doing it again is harmless.
pub async fn purge_address(
    topology: &Topology,
    tenant: &Tenant,
    address: &Address,
) -> Result<u64, PurgeAddressError> {
    let placement = topology.placements().load(tenant).await?;
    let places: BTreeSet<_> = placement.places().collect();
    let mut removed = 0;
    for place in &places {
        let envelopes = topology.on(place.shard).await?.envelopes;
        let subject = EnvelopeSubject::at(tenant, address, *place);
        removed += envelopes.purge().filter(subject).await?.purged;
    }
    // All of them first: a gateway that hears of it finds none.
    let shards: BTreeSet<_> = places.iter().map(|place| place.shard).collect();
    for shard in shards {
        publish_notice(topology, shard, tenant, address).await?;
    }
    Ok(removed)
}

async fn publish_notice(
    topology: &Topology,
    shard: ShardNumber,
    tenant: &Tenant,
    address: &Address,
) -> Result<(), PurgeAddressError> {
    let mut map = HeaderMap::new();
    // Longer than the stream keeps anything else, if need be (NATS ADR-43).
    let kept = topology.settings().events_max_age.as_secs().max(1);
    map.insert(headers::TIME_TO_LIVE, format!("{kept}s"));
    topology.context.publish_with_headers(notice(shard, tenant, address), map, Bytes::new()).await?.await?;
    Ok(())
}

/// The subject of the notice about an address.
pub(crate) fn notice(shard: ShardNumber, tenant: &Tenant, address: &Address) -> String {
    format!("{}.{tenant}.{}", shard.name(ROOT), address.to_subject_tokens())
}

/// The address that a notice is about.
pub(crate) fn purged(subject: &str) -> Option<(Tenant, Address)> {
    let mut tokens = subject.split('.');
    ShardNumber::of(tokens.next()?, ROOT)?;
    let tenant = Tenant::parse(tokens.next()?).ok()?;
    let address = Address::from_subject_tokens(tokens.next()?, tokens.next()?)?;
    tokens.next().is_none().then_some((tenant, address))
}

/// Envelopes could not be removed, or gateways could not be told.
#[derive(Debug, thiserror::Error)]
pub enum PurgeAddressError {
    /// It is not known where they are.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// A stream in which they are cannot be used.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// NATS did not remove them.
    #[error("NATS did not remove the envelopes")]
    Purge(#[from] PurgeError),
    /// They are removed, but gateways may still have them in memory.
    #[error("the envelopes are removed, but gateways were not told to forget them; purge again")]
    Notice(#[from] PublishError),
}
