//! Removes all envelopes of an address.
//!
//! Gateways keep envelopes in memory, and there is no list of gateways. Therefore the purge itself is a message in the
//! streams, in order, so that every gateway reads it, however late: first the envelopes are removed, then a notice on
//! `purges.<tenant>.<address kind>.<address id>` follows them. The notice is kept as long as events are: a rebuild must
//! not bring back removed envelopes.
//!
//! A rebuild may have envelopes of the address in flight. The notice takes the place of the next of them, which ends
//! their batch, so every envelope stored after it was made by a writer that knows of it (module `writer`). Envelopes
//! that were stored before it, and after the first removal, are found by a second removal.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::{PurgeError, RawMessageError};
use bytes::Bytes;
use tidings_model::{Address, EnvelopeSubject, Place, Position, Rebuild, ShardNumber, Tenant, headers};
use time::OffsetDateTime;

use super::notice;
use super::stored_envelope::origin;
use crate::nats::{TopologyError, leader_get};
use crate::placements::PlacementError;
use crate::topology::Topology;
use crate::topology::subjects::{PURGES, purge_subject, purges_of};

/// Removes all envelopes of an address from the current and past places of the tenant, and makes every gateway forget
/// them; returns their number. It is safe to repeat.
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
    // Removes all envelopes first: a gateway that reads a notice finds none.
    let shards: BTreeSet<_> = places.iter().map(|place| place.shard).collect();
    for shard in shards {
        publish_notice(topology, shard, tenant, address).await?;
    }
    if let Some(Rebuild { place, .. }) = placement.next {
        let envelopes = topology.on(place.shard).await?.envelopes;
        removed += envelopes.purge().filter(EnvelopeSubject::at(tenant, address, place)).await?.purged;
    }
    Ok(removed)
}

/// A notice of a purge, in one shard's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purged {
    /// The purged address.
    pub address: Address,
    /// The sequence of the notice.
    pub sequence: u64,
    /// When it was stored.
    pub at: OffsetDateTime,
}

/// All notices of a tenant's purges in a shard's stream, in order.
pub async fn all_purges(topology: &Topology, tenant: &Tenant) -> Result<Vec<Purged>, DiscardError> {
    let subject = format!("{}.>", purges_of(topology.shard(), tenant));
    let (mut all, mut last) = (Vec::new(), 0);
    let next =
        async |after: u64| leader_get::next(&topology.envelopes, &subject, after.saturating_add(1)).await;
    while let Some(message) = next(last).await.map_err(DiscardError::Read)? {
        last = message.sequence;
        if let Some((_, address)) = purged(&message.subject, Some(&message.headers), &message.payload) {
            all.push(Purged { address, sequence: message.sequence, at: message.time });
        }
    }
    Ok(all)
}

/// Removes the envelopes of a generation that is not current, up to a sequence.
pub async fn discard_generation(
    topology: &Topology,
    tenant: &Tenant,
    generation: u32,
    through: u64,
) -> Result<u64, DiscardError> {
    let subject = EnvelopeSubject::of(tenant, Place { shard: topology.shard(), generation });
    Ok(topology.envelopes.purge().filter(subject).sequence(through.saturating_add(1)).await?.purged)
}

/// Removes the envelopes of an address that came from events before a position. The generation must not be current, and
/// must not be written to now. Origins ascend in it.
pub async fn discard_address(
    topology: &Topology,
    tenant: &Tenant,
    generation: u32,
    address: &Address,
    before: Position,
) -> Result<u64, DiscardError> {
    let subject = EnvelopeSubject::at(tenant, address, Place { shard: topology.shard(), generation });
    let mut through = 0_u64;
    loop {
        let next = leader_get::next(&topology.envelopes, &subject, through.saturating_add(1)).await;
        let Some(message) = next.map_err(DiscardError::Read)? else { break };
        match origin(&message.headers) {
            Some(origin) if origin.event.is_at_or_behind(before) => break,
            _ => through = message.sequence,
        }
    }
    if through == 0 {
        return Ok(0);
    }
    Ok(topology.envelopes.purge().filter(subject).sequence(through.saturating_add(1)).await?.purged)
}

/// Envelopes of a generation cannot be found or removed.
#[derive(Debug, thiserror::Error)]
pub enum DiscardError {
    /// They cannot be found.
    #[error("cannot query stream ENVELOPES")]
    Read(#[source] RawMessageError),
    /// They cannot be removed.
    #[error("NATS did not remove the envelopes of a generation from stream ENVELOPES")]
    Purge(#[from] PurgeError),
}

async fn publish_notice(
    topology: &Topology,
    shard: ShardNumber,
    tenant: &Tenant,
    address: &Address,
) -> Result<(), PurgeAddressError> {
    let mut map = HeaderMap::new();
    notice::mark(&mut map);
    // If necessary longer than the stream keeps other messages (NATS ADR-43).
    let kept = topology.settings().events_max_age.as_secs().max(1);
    map.insert(headers::TIME_TO_LIVE, format!("{kept}s"));
    let topology = topology.on(shard).await?;
    let subject = purge_subject(shard, tenant, address);
    topology.context.publish_with_headers(subject, map, Bytes::new()).await?.await?;
    Ok(())
}

/// Parses the address of a notice; `None` if the message is not a notice.
pub(crate) fn purged(subject: &str, headers: Option<&HeaderMap>, body: &[u8]) -> Option<(Tenant, Address)> {
    if !notice::is_marked(headers, body) {
        return None;
    }
    let mut tokens = subject.split('.');
    ShardNumber::of(tokens.next()?, PURGES)?;
    let tenant = Tenant::parse(tokens.next()?).ok()?;
    let address = Address::from_subject_tokens(tokens.next()?, tokens.next()?)?;
    tokens.next().is_none().then_some((tenant, address))
}

/// The purge failed, or the gateways were not notified.
#[derive(Debug, thiserror::Error)]
pub enum PurgeAddressError {
    /// The placement is not known.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// A stream with the envelopes cannot be used.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// NATS did not remove the envelopes.
    #[error("NATS did not remove the envelopes")]
    Purge(#[from] PurgeError),
    /// The envelopes are removed, but gateways may still have them in memory.
    #[error("the envelopes are removed, but gateways were not notified to forget them; purge again")]
    Notice(#[from] PublishError),
}
