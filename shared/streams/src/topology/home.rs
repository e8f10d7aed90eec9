//! Finds the streams with a tenant's envelopes.

use tidings_model::{PlacedPosition, Placement, Position, Tenant};

use super::{Extent, ExtentError, Topology, TopologyError};
use crate::placements::PlacementError;

/// The placement of a tenant, and the streams of its current shard.
#[derive(Debug, Clone)]
pub struct Home {
    /// The current and past places.
    pub placement: Placement,
    /// The topology of the current shard.
    pub topology: Topology,
}

impl Home {
    /// The content of the stream, with the epoch as used in the tenant's positions.
    pub async fn extent(&self) -> Result<Extent, ExtentError> {
        let extent = self.topology.extent().await?;
        Ok(Extent { epoch: self.placement.current.place.epoch(extent.epoch), ..extent })
    }

    /// A position with its generation, if it is in the current place, of which this is the extent. One of another place is
    /// behind all of the current one.
    #[must_use]
    pub fn placed(&self, position: Position, extent: &Extent) -> PlacedPosition {
        let is_current = position.epoch == extent.epoch;
        let generation = if is_current { self.placement.current.place.generation } else { 0 };
        PlacedPosition { generation, position }
    }
}

impl Topology {
    /// Finds the current placement and streams of a tenant.
    pub async fn home(&self, tenant: &Tenant) -> Result<Home, HomeError> {
        let placement = self.placements().load(tenant).await?;
        let topology = self.on(placement.current.place.shard).await?;
        Ok(Home { placement, topology })
    }
}

/// The stream with a tenant's envelopes cannot be found now.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The placement is not known.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// The stream cannot be used.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}
