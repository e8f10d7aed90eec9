//! Where delivery to a returning user goes on from, and what has to be said about it.
//!
//! A position is never trusted blindly and never silently moved: one from another life of the
//! stream, from the future, or from before what is retained is answered with a gap that says what
//! may be missing. What can still be delivered is delivered.

use std::sync::Arc;
use std::time::Duration;

use tidings_model::{Epoch, Place, Position, Tenant};
use tidings_protocol::server::GapReason;
use tidings_streams::{ExtentError, PlacementError, TranslateError, translate_position};
use tokio::sync::watch;

use crate::lane::{Lane, OpenLane};
use crate::lanes::Lanes;

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
    let Some(carried) = translate_position(&lane.topology, tenant, &placement, position).await? else {
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
    Carry(#[from] TranslateError),
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
    /// Where somebody goes on whose position means other envelopes by now, as the stream came back with less than it had
    /// and has grown past it. The device was last seen when the stream held what is up to `seen` and not yet what is
    /// behind `unseen`; what it received cannot lie there.
    pub(crate) fn of_former_life(position: Position, view: View, seen: u64, unseen: u64) -> Option<Self> {
        let is_former =
            position.epoch == view.epoch && unseen < position.sequence && position.sequence <= view.head;
        let after = Position { epoch: view.epoch, sequence: seen.max(view.floor) };
        let gap = Gap { from: position, to: after, reason: GapReason::Epoch };
        is_former.then_some(Self { after, gap: Some(gap) })
    }

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

    #[test]
    fn nobody_has_received_what_was_stored_after_the_device_was_seen() {
        let view = View { epoch: Epoch(2), floor: 10, head: 90, removed_through: 8 };
        let at = |epoch, sequence| Position { epoch: Epoch(epoch), sequence };
        for (position, seen, unseen, after) in [
            (at(2, 50), 45, 50, None),
            (at(2, 51), 45, 50, Some(45)),
            (at(2, 90), 5, 50, Some(10)),
            (at(2, 91), 45, 50, None),
            (at(1, 60), 45, 50, None),
        ] {
            let standing = Standing::of_former_life(position, view, seen, unseen);
            let expected = after.map(|after| {
                let after = at(2, after);
                let gap = Gap { from: position, to: after, reason: GapReason::Epoch };
                Standing { after, gap: Some(gap) }
            });
            assert_eq!(standing, expected, "{position}");
        }
    }
}
