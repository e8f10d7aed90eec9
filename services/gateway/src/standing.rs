//! Where delivery to a returning user goes on from, and what has to be said about it. Pure.
//!
//! A position is never trusted blindly and never silently moved: one from another life of the
//! stream, from the future, or from before what is retained is answered with a gap that says what
//! may be missing. What can still be delivered is delivered.

use tidings_model::{Epoch, Position};
use tidings_protocol::server::GapReason;

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
