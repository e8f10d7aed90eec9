//! The phase that a connection is in, and which of its client's frames still count. Pure.
//!
//! The phases follow each other in the order of [`Phase`], but for the first three, between which a connection changes as
//! it keeps up or not, and as its tenant moves. Two invariants: no event leads back, so nothing that a client sends revives a connection that is being
//! closed; and a deadline is set when its phase begins and never moves.

use std::borrow::Cow;
use std::time::Duration;

use tidings_protocol::client::{ClientMessage, Limits, Refused, Request, id_in_beginning};
use tidings_protocol::error::MessageId;
use tidings_protocol::framing::{Message, Violation};
use tokio::time::Instant;

use crate::worker::figures::Activity;

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

    /// What the connection is doing, as far as operators want to know.
    pub(super) fn activity(self) -> Activity {
        match self {
            Self::Live => Activity::Live,
            Self::CatchingUp { .. } => Activity::CatchingUp,
            Self::Moving { .. } => Activity::Moving,
            Self::AwaitingAcks { .. } | Self::SavingPosition | Self::Closing { .. } | Self::Closed => {
                Activity::Leaving
            }
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

/// The kind of a frame, as far as it matters whether it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum FrameKind {
    /// A message, whether it was understood or not.
    Request,
    /// `ack`, or the Pong that answers a Ping.
    Acknowledgement,
    Ping,
    Close,
    /// What the protocol forbids, and ends the connection.
    Violation,
}

/// A frame that counts.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::worker) enum ReceivedFrame<'b> {
    Message(Result<Request, Refused>),
    Binary,
    /// With the id, if it can be read.
    TooLong {
        limit: usize,
        id: Option<MessageId>,
    },
    Ping(Cow<'b, [u8]>),
    Pong(Cow<'b, [u8]>),
    Close(Option<u16>),
    Violation(Violation),
}

impl<'b> ReceivedFrame<'b> {
    /// `None` for a frame that is ignored. Nothing is parsed in vain: where not even an acknowledgement counts, no text
    /// does.
    pub(in crate::worker) fn of(
        obeys: impl Fn(FrameKind) -> bool,
        received: Result<Message<'b>, Violation>,
        read: impl FnOnce(&str) -> Result<Request, Refused>,
    ) -> Option<Self> {
        let (kind, frame) = match received {
            Ok(Message::Text(text)) => {
                if !obeys(FrameKind::Acknowledgement) {
                    return None;
                }
                let read = read(&text);
                let is_ack = matches!(&read, Ok(Request { message: ClientMessage::Ack { .. }, .. }));
                (if is_ack { FrameKind::Acknowledgement } else { FrameKind::Request }, Self::Message(read))
            }
            Ok(Message::Binary) => (FrameKind::Request, Self::Binary),
            Ok(Message::TooLong { limit, beginning, .. }) => {
                let id = obeys(FrameKind::Request).then(|| id_in_beginning(&beginning, &Limits::default()));
                (FrameKind::Request, Self::TooLong { limit, id: id.flatten() })
            }
            Ok(Message::Ping(payload)) => (FrameKind::Ping, Self::Ping(payload)),
            Ok(Message::Pong(payload)) => (FrameKind::Acknowledgement, Self::Pong(payload)),
            Ok(Message::Close { code, .. }) => (FrameKind::Close, Self::Close(code)),
            Err(violation) => (FrameKind::Violation, Self::Violation(violation)),
        };
        obeys(kind).then_some(frame)
    }

    /// Whether it is a message, whose rate is limited.
    pub(in crate::worker) fn is_message(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Binary | Self::TooLong { .. })
    }

    /// The id of the message, for the answer.
    pub(in crate::worker) fn id(&self) -> Option<MessageId> {
        match self {
            Self::Message(Ok(request)) => request.id.clone(),
            Self::Message(Err(refused)) => refused.id.clone(),
            Self::TooLong { id, .. } => id.clone(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
