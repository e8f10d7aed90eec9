//! Removing everything that is addressed to a user.
//!
//! Gateways keep envelopes in memory, and there is no list of gateways. So the purge is itself
//! told in the stream, in order, where every gateway reads of it, however late: first the envelopes
//! are removed, then a notice follows them on `purges.<tenant>.<address kind>.<address id>`.

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::PurgeError;
use bytes::Bytes;
use tidings_model::{Address, EnvelopeSubject, Tenant, headers};

use crate::topology::Topology;

/// A gateway that was away for longer may be restarted: it then reads the stream from its
/// beginning.
const NOTICE_TIME_TO_LIVE: &str = "24h";

/// The subject that holds every notice.
pub(crate) const ANY_NOTICE: &str = "purges.>";

/// Removes all envelopes at an address, and has every gateway forget them; returns how many the
/// stream held. Doing it again is harmless.
pub async fn purge_address(
    topology: &Topology,
    tenant: &Tenant,
    address: &Address,
) -> Result<u64, PurgeAddressError> {
    let removed = topology.envelopes.purge().filter(EnvelopeSubject::at(tenant, address)).await?;
    let mut map = HeaderMap::new();
    map.insert(headers::TIME_TO_LIVE, NOTICE_TIME_TO_LIVE);
    topology.context.publish_with_headers(notice(tenant, address), map, Bytes::new()).await?.await?;
    Ok(removed.purged)
}

/// The subject of the notice about an address.
pub(crate) fn notice(tenant: &Tenant, address: &Address) -> String {
    format!("purges.{tenant}.{}", address.to_subject_tokens())
}

/// The address that a notice is about.
pub(crate) fn purged(subject: &str) -> Option<(Tenant, Address)> {
    let mut tokens = subject.strip_prefix("purges.")?.split('.');
    let tenant = Tenant::parse(tokens.next()?).ok()?;
    let address = Address::from_subject_tokens(tokens.next()?, tokens.next()?)?;
    tokens.next().is_none().then_some((tenant, address))
}

/// Envelopes could not be removed, or gateways could not be told.
#[derive(Debug, thiserror::Error)]
pub enum PurgeAddressError {
    /// NATS did not remove them.
    #[error("NATS did not remove the envelopes")]
    Purge(#[from] PurgeError),
    /// They are removed, but gateways may still have them in memory.
    #[error("the envelopes are removed, but gateways were not told to forget them; purge again")]
    Notice(#[from] PublishError),
}
