//! The phase that a connection is in, and which of its client's frames still count. Pure.
//!
//! The phases follow each other in the order of [`Phase`], but for the first three, between which a connection changes as
//! it keeps up or not, and as its tenant moves. Two invariants: no event leads back, so nothing that a client sends revives a connection that is being
//! closed; and a deadline is set when its phase begins and never moves.

use std::time::Duration;

use tokio::time::Instant;

use super::received::FrameKind;

/// How long a client may take to acknowledge the last envelopes that it was given.
pub(in crate::worker) const ACKNOWLEDGING_TIME: Duration = Duration::from_secs(2);
/// How long a client may take to answer a Close. With the worker's tick, the socket is gone within a second.
const CLOSING_TIME: Duration = Duration::from_millis(700);

/// The phase of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Everything before the shard's cursor has been given; envelopes are delivered as they come.
    Live,
    /// Everything up to `after` has been given; the rest is read from the replica, as fast as the client takes it. A new
    /// connection begins here, and becomes live as soon as it is seen to have everything.
    CatchingUp { after: u64 },
    /// The tenant's envelopes are in another shard, to which the connection is about to follow. Nothing more is given before;
    /// a client that has not acknowledged everything until then has to reconnect.
    Moving { until: Instant },
    /// Nothing more is given; acknowledgements count until then.
    AwaitingAcks { until: Instant },
    /// The consumer's position is being saved; then comes the Close.
    SavingPosition,
    /// A Close was sent or received; the socket is closed when both were, or then.
    Closing { until: Instant, is_answered: bool },
    /// The socket is of no use any more.
    Closed,
}

/// What changes the phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PhaseEvent {
    /// The connection has everything.
    CaughtUp,
    /// The connection has everything up to here, and does not keep up; or a replay has read so far.
    FellBehind {
        after: u64,
    },
    /// The tenant's envelopes are in another shard.
    TenantMoved {
        until: Instant,
    },
    /// The connection is in the shard of its tenant, and has everything up to `after`.
    Followed {
        after: u64,
    },
    /// Nothing more is given.
    Left {
        now: Instant,
    },
    /// Nothing is left to be acknowledged, or the time for it is over.
    Acknowledged,
    CloseSent {
        now: Instant,
    },
    CloseReceived {
        now: Instant,
    },
    /// The socket is given up.
    Ended,
}

impl Phase {
    /// Enters the phase that the event leads to. `true` if a phase begins in which nothing more is given; for a Close that
    /// was received, if it is to be answered.
    pub(super) fn advance(&mut self, event: PhaseEvent) -> bool {
        let next = match (event, *self) {
            (PhaseEvent::CaughtUp, Self::Live | Self::CatchingUp { .. }) => Self::Live,
            (PhaseEvent::FellBehind { after }, Self::Live | Self::CatchingUp { .. }) => {
                Self::CatchingUp { after }
            }
            (PhaseEvent::TenantMoved { until }, Self::Live | Self::CatchingUp { .. }) => {
                Self::Moving { until }
            }
            (PhaseEvent::Followed { after }, Self::Moving { .. }) => Self::CatchingUp { after },
            (PhaseEvent::Left { now }, Self::Live | Self::CatchingUp { .. } | Self::Moving { .. }) => {
                Self::AwaitingAcks { until: now + ACKNOWLEDGING_TIME }
            }
            (PhaseEvent::Acknowledged, Self::AwaitingAcks { .. }) => Self::SavingPosition,
            (PhaseEvent::CloseReceived { .. }, Self::Closing { until, .. }) => {
                *self = Self::Closing { until, is_answered: true };
                return false;
            }
            (PhaseEvent::CloseSent { now } | PhaseEvent::CloseReceived { now }, phase)
                if !phase.is_closing() =>
            {
                let is_answered = matches!(event, PhaseEvent::CloseReceived { .. });
                Self::Closing { until: now + CLOSING_TIME, is_answered }
            }
            (PhaseEvent::Ended, _) => Self::Closed,
            _ => return false,
        };
        *self = next;
        !matches!(next, Self::Live | Self::CatchingUp { .. })
    }

    /// Whether a frame of this kind counts, or is ignored.
    pub(super) fn obeys(self, kind: FrameKind) -> bool {
        match self {
            Self::Live | Self::CatchingUp { .. } | Self::Moving { .. } => true,
            Self::AwaitingAcks { .. } => matches!(kind, FrameKind::Acknowledgement | FrameKind::Close),
            Self::SavingPosition | Self::Closing { is_answered: false, .. } => kind == FrameKind::Close,
            Self::Closing { is_answered: true, .. } | Self::Closed => false,
        }
    }

    /// Whether the connection stays, as far as is known.
    pub(super) fn is_served(self) -> bool {
        matches!(self, Self::Live | Self::CatchingUp { .. } | Self::Moving { .. })
    }

    /// Whether a Close was sent or received, or cannot be any more.
    pub(super) fn is_closing(self) -> bool {
        matches!(self, Self::Closing { .. } | Self::Closed)
    }

    /// When the next phase begins whatever the client does.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Moving { until } | Self::AwaitingAcks { until } | Self::Closing { until, .. } => {
                Some(until)
            }
            Self::Live | Self::CatchingUp { .. } | Self::SavingPosition | Self::Closed => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
