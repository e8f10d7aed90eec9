//! Where delivery to a returning consumer resumes, and whether it has a gap. Pure.
//!
//! A position is never trusted blindly and never moved silently: one from another life of the stream, from the future, or
//! from before the retained envelopes is answered with a gap that says what may be missing. What can still be delivered
//! is delivered.

use tidings_model::{Epoch, Position};
use tidings_protocol::server::GapReason;
use tidings_streams::{ExtentError, PlacementError, TranslateError};

/// What of a stream can be delivered to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) epoch: Epoch,
    /// Nothing at or below this sequence is retained.
    pub(crate) floor: u64,
    /// The last sequence.
    pub(crate) head: u64,
    /// No envelope that was kept for a consumer has been removed after this sequence.
    pub(crate) removed_through: u64,
}

/// Where delivery to a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumePoint {
    /// Delivery begins after this position.
    pub after: Position,
    /// What may have been missed and cannot be delivered.
    pub gap: Option<Gap>,
}

/// Envelopes that may have been missed and cannot be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The position that was asked for.
    pub from: Position,
    /// Where delivery begins instead.
    pub to: Position,
    /// Why.
    pub reason: GapReason,
}

/// The consumer's position cannot be resolved right now.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The tenant's record in the bucket of placements is damaged.
    #[error(
        "it is stored unreadably where the messages of your tenant are; ask the operators of the application"
    )]
    Lost,
    /// The bucket of placements cannot be read.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// The position cannot be translated.
    #[error(transparent)]
    Carry(#[from] TranslateError),
    /// The stream's state cannot be read.
    #[error(transparent)]
    Extent(#[from] ExtentError),
}

impl ResumePoint {
    /// Where a consumer resumes whose position now names another envelope: the stream was restored from an older state and
    /// has grown past the position since. `None` if the position may be of the stream as it is.
    ///
    /// When the device was last seen, the stream held everything up to `seen` and nothing after `unseen`; so what the device
    /// received does not lie after `unseen`.
    pub(crate) fn of_lost_state(
        position: Position,
        retention: Retention,
        (seen, unseen): (u64, u64),
    ) -> Option<Self> {
        let is_lost = position.epoch == retention.epoch
            && unseen < position.sequence
            && position.sequence <= retention.head;
        let after = Position { epoch: retention.epoch, sequence: seen.max(retention.floor) };
        let gap = Gap { from: position, to: after, reason: GapReason::Epoch };
        is_lost.then_some(Self { after, gap: Some(gap) })
    }

    /// Where a consumer resumes that has read up to `position`.
    pub(crate) fn of(position: Position, retention: Retention) -> Self {
        let gap = |sequence, reason| {
            let to = Position { epoch: retention.epoch, sequence };
            Self { after: to, gap: Some(Gap { from: position, to, reason }) }
        };
        if position.epoch != retention.epoch {
            gap(retention.floor, GapReason::Epoch)
        } else if position.sequence > retention.head {
            gap(retention.head, GapReason::Future)
        } else if position.sequence < retention.removed_through {
            gap(retention.floor, GapReason::Retention)
        } else {
            Self { after: position, gap: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_moved_only_with_a_gap() {
        let retention = Retention { epoch: Epoch(2), floor: 10, head: 20, removed_through: 8 };
        let replica = Retention { removed_through: 10, ..retention };
        let at = |epoch, sequence| Position { epoch: Epoch(epoch), sequence };
        for (retention, position, after, reason) in [
            (retention, at(2, 15), 15, None),
            (retention, at(2, 20), 20, None),
            (retention, at(2, 10), 10, None),
            (retention, at(2, 8), 8, None),
            (retention, at(2, 7), 10, Some(GapReason::Retention)),
            (replica, at(2, 9), 10, Some(GapReason::Retention)),
            (retention, at(2, 21), 20, Some(GapReason::Future)),
            (retention, at(1, 15), 10, Some(GapReason::Epoch)),
            (retention, at(3, 99), 10, Some(GapReason::Epoch)),
        ] {
            let resume = ResumePoint::of(position, retention);
            assert_eq!(resume.after, at(2, after), "{position}");
            let gap = reason.map(|reason| Gap { from: position, to: at(2, after), reason });
            assert_eq!(resume.gap, gap, "{position}");
        }
    }

    #[test]
    fn no_device_has_received_what_was_stored_after_it_was_last_seen() {
        let retention = Retention { epoch: Epoch(2), floor: 10, head: 90, removed_through: 8 };
        let at = |epoch, sequence| Position { epoch: Epoch(epoch), sequence };
        for (position, seen, unseen, after) in [
            (at(2, 50), 45, 50, None),
            (at(2, 51), 45, 50, Some(45)),
            (at(2, 90), 5, 50, Some(10)),
            (at(2, 91), 45, 50, None),
            (at(1, 60), 45, 50, None),
        ] {
            let resume = ResumePoint::of_lost_state(position, retention, (seen, unseen));
            let expected = after.map(|after| {
                let after = at(2, after);
                let gap = Gap { from: position, to: after, reason: GapReason::Epoch };
                ResumePoint { after, gap: Some(gap) }
            });
            assert_eq!(resume, expected, "{position}");
        }
    }
}
