//! Notices of places: a tenant's envelopes are in another place from there on.

use async_nats::HeaderMap;
use async_nats::jetstream::stream::RawMessageErrorKind;
use tidings_model::{Place, Position, ShardNumber, Tenant, headers};
use time::OffsetDateTime;

use super::notice;
use crate::nats::{epoch_of, set};
use crate::placements::PlacementError;
use crate::topology::Topology;
use crate::topology::subjects::{PLACES, place_subject};

/// The newest notice about a tenant in a shard's stream, and its position, if the stream still has one.
pub async fn last_notice(
    topology: &Topology,
    tenant: &Tenant,
) -> Result<Option<(Place, Position)>, PlacementError> {
    let failed = |source| PlacementError::Read { tenant: tenant.clone(), source };
    let subject = place_subject(topology.shard(), tenant);
    let stream = &topology.envelopes;
    let last = notice::last(stream, &subject).await.map_err(|error| failed(error.into()))?;
    let said = last.and_then(|message| Some((place(&message.headers)?, message.sequence)));
    let Some((place, sequence)) = said else { return Ok(None) };
    let info = stream.get_info().await.map_err(|error| failed(error.into()))?;
    Ok(Some((place, Position { epoch: place.epoch(epoch_of(&info)), sequence })))
}

/// When the notice at this position of a shard's stream was stored, if it exists.
pub async fn placed_at(
    topology: &Topology,
    position: Position,
) -> Result<Option<OffsetDateTime>, PlacementError> {
    match topology.envelopes.get_raw_message(position.sequence).await {
        Ok(message) => {
            let is_notice = placed(&message.subject, Some(&message.headers), &message.payload).is_some();
            Ok(Some(message.time).filter(|_| is_notice))
        }
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(PlacementError::List { source: error.into() }),
    }
}

/// Subject and headers of the notice that a tenant's envelopes are in a place from there on.
pub(crate) fn place_notice(shard: ShardNumber, tenant: &Tenant, place: Place) -> (String, HeaderMap) {
    let mut map = HeaderMap::new();
    notice::mark(&mut map);
    set(&mut map, headers::PLACE, place.to_string());
    (place_subject(shard, tenant), map)
}

/// Parses a notice; `None` if the message is not a notice.
pub(crate) fn placed(subject: &str, headers: Option<&HeaderMap>, body: &[u8]) -> Option<(Tenant, Place)> {
    if !notice::is_marked(headers, body) {
        return None;
    }
    let (root, tenant) = subject.split_once('.')?;
    ShardNumber::of(root, PLACES)?;
    Some((Tenant::parse(tenant).ok()?, place(headers?)?))
}

fn place(map: &HeaderMap) -> Option<Place> {
    map.get(headers::PLACE)?.as_str().parse().ok()
}
