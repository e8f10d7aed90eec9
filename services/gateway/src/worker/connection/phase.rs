//! Where a connection is in its life, and what counts of what its client sends.
//!
//! The phases follow each other in the order of [`Is`], but for the first two, between which a connection changes as it
//! keeps up or not. Two invariants: no transition leads back, so nothing that a client sends gives a connection that is
//! being closed another life; and a deadline is set when its phase begins and never moves.

use std::time::Duration;

use tokio::time::Instant;

/// How long a client may take to acknowledge what it was given last.
pub(in crate::worker) const ACKNOWLEDGING_TIME: Duration = Duration::from_secs(2);
/// How long a client may take to answer a Close. With the shard's tick, the socket is gone within a second.
pub(in crate::worker) const CLOSING_TIME: Duration = Duration::from_millis(700);

/// The phase of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) struct Phase(Is);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    /// Everything before the shard's cursor has been given; what comes is delivered as it comes.
    Live,
    /// Everything up to `after` has been given; the rest is read from the mailbox, as fast as the client takes it.
    CatchingUp { after: u64 },
    /// Nothing more is given; what was given may be acknowledged until then.
    AwaitingAcks { until: Instant },
    /// Where the consumer stands is being saved; then comes the Close.
    SavingPosition,
    /// A Close was sent or received; the socket is given up when both were, or then.
    Closing { until: Instant, is_answered: bool },
    /// The socket is of no use any more.
    Closed,
}

/// What a client sent, as far as it matters whether it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum Received {
    /// A message, whether it was understood or not.
    Request,
    /// `ack`, or the Pong that answers a Ping.
    Acknowledgement,
    Ping,
    Close,
    /// What the protocol forbids, and ends the connection.
    Violation,
}

impl Phase {
    /// Of a connection that begins: it becomes live as soon as it is seen to have everything.
    pub(in crate::worker) fn begin(after: u64) -> Self {
        Self(Is::CatchingUp { after })
    }

    /// Whether this counts, or is passed over.
    pub(in crate::worker) fn obeys(self, received: Received) -> bool {
        match self.0 {
            Is::Live | Is::CatchingUp { .. } => true,
            Is::AwaitingAcks { .. } => matches!(received, Received::Acknowledgement | Received::Close),
            Is::SavingPosition | Is::Closing { is_answered: false, .. } => received == Received::Close,
            Is::Closing { is_answered: true, .. } | Is::Closed => false,
        }
    }

    pub(in crate::worker) fn is_live(self) -> bool {
        self.0 == Is::Live
    }

    /// Everything up to here has been given to a connection that is catching up.
    pub(in crate::worker) fn behind(self) -> Option<u64> {
        match self.0 {
            Is::CatchingUp { after } => Some(after),
            _ => None,
        }
    }

    /// Whether messages are given to the connection.
    pub(in crate::worker) fn is_served(self) -> bool {
        matches!(self.0, Is::Live | Is::CatchingUp { .. })
    }

    pub(in crate::worker) fn is_saving_position(self) -> bool {
        self.0 == Is::SavingPosition
    }

    /// Whether a Close was sent or received, or cannot be any more.
    pub(in crate::worker) fn is_closing(self) -> bool {
        matches!(self.0, Is::Closing { .. } | Is::Closed)
    }

    /// Whether each side has sent its Close.
    pub(in crate::worker) fn is_answered(self) -> bool {
        matches!(self.0, Is::Closing { is_answered: true, .. })
    }

    pub(in crate::worker) fn is_closed(self) -> bool {
        self.0 == Is::Closed
    }

    /// When the next phase begins whatever the client does.
    pub(in crate::worker) fn deadline(self) -> Option<Instant> {
        match self.0 {
            Is::AwaitingAcks { until } | Is::Closing { until, .. } => Some(until),
            Is::Live | Is::CatchingUp { .. } | Is::SavingPosition | Is::Closed => None,
        }
    }

    /// The connection has everything.
    pub(in crate::worker) fn become_live(&mut self) {
        if self.is_served() {
            self.0 = Is::Live;
        }
    }

    /// The connection has everything up to `after`, and does not keep up; or has read so far.
    pub(in crate::worker) fn catch_up_after(&mut self, after: u64) {
        if self.is_served() {
            self.0 = Is::CatchingUp { after };
        }
    }

    /// Nothing more is given.
    pub(in crate::worker) fn await_acks(&mut self, now: Instant) -> bool {
        let begins = self.is_served();
        if begins {
            self.0 = Is::AwaitingAcks { until: now + ACKNOWLEDGING_TIME };
        }
        begins
    }

    /// Nothing is left to be acknowledged, or nothing that is waited for.
    pub(in crate::worker) fn save_position(&mut self) -> bool {
        let begins = matches!(self.0, Is::AwaitingAcks { .. });
        if begins {
            self.0 = Is::SavingPosition;
        }
        begins
    }

    /// A Close is sent.
    pub(in crate::worker) fn close(&mut self, now: Instant) -> bool {
        let begins = !self.is_closing();
        if begins {
            self.0 = Is::Closing { until: now + CLOSING_TIME, is_answered: false };
        }
        begins
    }

    /// A Close was received. `true` if it is to be answered.
    pub(in crate::worker) fn closed_by_client(&mut self, now: Instant) -> bool {
        let begins = self.close(now);
        if let Is::Closing { is_answered, .. } = &mut self.0 {
            *is_answered = true;
        }
        begins
    }

    /// The socket is given up.
    pub(in crate::worker) fn end(&mut self) {
        self.0 = Is::Closed;
    }
}

#[cfg(test)]
pub(in crate::worker) mod tests;
