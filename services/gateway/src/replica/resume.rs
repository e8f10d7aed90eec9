//! Where delivery to a returning user goes on from, and what has to be said about it.
//!
//! A position is never trusted blindly and never silently moved: one from another life of the
//! stream, from the future, or from before what is retained is answered with a gap that says what
//! may be missing. What can still be delivered is delivered.

use std::sync::Arc;
use std::time::Duration;

use tidings_model::{Epoch, Place, Position, Tenant};
use tidings_protocol::server::GapReason;
use tidings_streams::{CarryError, ExtentError, PlacementError, carry_over};
use tokio::sync::watch;

use crate::shards::Lanes;
use crate::shards::shard::{Lane, OpenLane};

/// How long to wait before a tenant is looked for again.
const RETRY: Duration = Duration::from_millis(50);

/// The lane in which a tenant is served, and what it can answer for. Waits while the tenant is on its way.
pub(crate) async fn find(
    lanes: &watch::Receiver<Arc<Lanes>>,
    tenant: &Tenant,
) -> Result<(OpenLane, View), StandingError> {
    loop {
        if lanes.borrow().is_lost(tenant) {
            return Err(StandingError::Lost);
        }
        let open = lanes.borrow().of(tenant).cloned();
        let view = open.as_ref().and_then(|open| open.lane.view(tenant));
        if let (Some(open), Some(view)) = (open, view) {
            return Ok((open, view));
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Where somebody goes on, and in which lane, who stands at `position`, which may have been meant in a former generation.
/// Waits while this gateway has not read as far as where the tenant is.
pub(crate) async fn stand(
    lanes: &watch::Receiver<Arc<Lanes>>,
    tenant: &Tenant,
    position: Position,
) -> Result<(OpenLane, Standing), StandingError> {
    loop {
        let (open, view) = find(lanes, tenant).await?;
        if let Some(standing) = stand_in(&open.lane, tenant, view, position).await? {
            return Ok((open, standing));
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// `None` if the tenant is not where this lane has it.
async fn stand_in(
    lane: &Lane,
    tenant: &Tenant,
    view: View,
    position: Position,
) -> Result<Option<Standing>, StandingError> {
    if view.epoch == position.epoch {
        let view = lane.view_for(tenant, position).await?;
        return Ok(view.map(|view| Standing::of(position, view)));
    }
    let placement = lane.topology.placements().load(tenant).await?;
    let Some(carried) = carry_over(&lane.topology, tenant, &placement, position).await? else {
        return Ok(Some(Standing::of(position, view)));
    };
    // The bucket may be ahead of what was read of the stream, or behind it.
    if carried.epoch != view.epoch {
        return Ok(None);
    }
    let Some(view) = lane.view_for(tenant, carried).await? else { return Ok(None) };
    let standing = Standing::of(carried, view);
    // What is behind a position in the same stream may have been removed before anything was made anew of it.
    let was_here = Place::generation_of(position.epoch, lane.retained.epoch(), u32::MAX).is_some();
    let is_lost = was_here && standing.gap.is_none() && position.sequence < view.removed_through;
    let gap = Gap { from: position, to: standing.after, reason: GapReason::Retention };
    Ok(Some(if is_lost { Standing { gap: Some(gap), ..standing } } else { standing }))
}

/// It cannot be said now where somebody stands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StandingError {
    /// What the bucket holds of the tenant cannot be read.
    #[error(
        "it is stored unreadably where the messages of your tenant are; ask those who look after the application"
    )]
    Lost,
    /// It is not known where they were.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// A position cannot be carried over.
    #[error(transparent)]
    Carry(#[from] CarryError),
    /// The stream does not tell how far it goes.
    #[error(transparent)]
    Extent(#[from] ExtentError),
}

/// What a gateway can answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) epoch: Epoch,
    /// Nothing at or below this sequence is retained.
    pub(crate) floor: u64,
    /// The last sequence.
    pub(crate) head: u64,
    /// Nothing that matters has been removed after this sequence.
    pub(crate) removed_through: u64,
}

/// Where a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Delivery goes on after this position.
    pub(crate) after: Position,
    pub(crate) gap: Option<Gap>,
}

/// Envelopes that may have been missed and cannot be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: Position,
    pub(crate) to: Position,
    pub(crate) reason: GapReason,
}

impl Standing {
    /// Where somebody goes on who stands at `position`.
    pub(crate) fn of(position: Position, view: View) -> Self {
        let gap = |sequence, reason| {
            let to = Position { epoch: view.epoch, sequence };
            Self { after: to, gap: Some(Gap { from: position, to, reason }) }
        };
        if position.epoch != view.epoch {
            gap(view.floor, GapReason::Epoch)
        } else if position.sequence > view.head {
            gap(view.head, GapReason::Future)
        } else if position.sequence < view.removed_through {
            gap(view.floor, GapReason::Retention)
        } else {
            Self { after: position, gap: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_moved_only_with_a_word() {
        let view = View { epoch: Epoch(2), floor: 10, head: 20, removed_through: 8 };
        let retained = View { removed_through: 10, ..view };
        let at = |epoch, sequence| Position { epoch: Epoch(epoch), sequence };
        for (view, position, after, reason) in [
            (view, at(2, 15), 15, None),
            (view, at(2, 20), 20, None),
            (view, at(2, 10), 10, None),
            (view, at(2, 8), 8, None),
            (view, at(2, 7), 10, Some(GapReason::Retention)),
            (retained, at(2, 9), 10, Some(GapReason::Retention)),
            (view, at(2, 21), 20, Some(GapReason::Future)),
            (view, at(1, 15), 10, Some(GapReason::Epoch)),
            (view, at(3, 99), 10, Some(GapReason::Epoch)),
        ] {
            let standing = Standing::of(position, view);
            assert_eq!(standing.after, at(2, after), "{position}");
            let gap = reason.map(|reason| Gap { from: position, to: at(2, after), reason });
            assert_eq!(standing.gap, gap, "{position}");
        }
    }
}
