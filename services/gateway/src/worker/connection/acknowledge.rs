//! What a connection's client has acknowledged, and the position of its consumer that follows from it.

use tidings_model::Position;

use super::phase::Phase;
use super::{State, one_more};

impl State {
    fn acknowledged(&self) -> Option<u64> {
        self.acknowledged.map(|one_more| one_more.get() - 1)
    }

    /// Whether an acknowledgement of this sequence says something new.
    pub(in crate::worker) fn is_news(&self, sequence: u64) -> bool {
        sequence <= self.sent && self.acknowledged().is_none_or(|acknowledged| sequence > acknowledged)
    }

    /// The client has received everything up to this sequence; an acknowledgement only moves forward. The position to store,
    /// if it is new.
    pub(in crate::worker) fn acknowledge(&mut self, sequence: u64) -> Option<Position> {
        if self.acknowledged().is_some_and(|acknowledged| sequence <= acknowledged) {
            return None;
        }
        self.acknowledged = Some(one_more(sequence));
        self.acknowledged_position()
    }

    /// What a plain client is asked: the last sequence that was given, and how often sequences have started over on this
    /// connection, so that no answer from before is taken for one of now.
    pub(super) fn question(&self) -> String {
        format!("{}/{}", self.sequences_begun, self.sent)
    }

    /// The sequence that a Pong acknowledges, unless it answers a heartbeat, nothing, or a question from before sequences
    /// started over.
    pub(in crate::worker) fn pong_sequence(&self, payload: &[u8]) -> Option<u64> {
        let (begun, sequence) = std::str::from_utf8(payload).ok()?.split_once('/')?;
        let sequence = sequence.parse().ok()?;
        let is_asked = begun.parse() == Ok(self.sequences_begun) && sequence <= self.ack_requested;
        is_asked.then_some(sequence)
    }

    /// The consumer's position. A client that has received all that was sent has everything that was looked at for it,
    /// even if the last of it was for others: so the position of a user with few messages does not grow old. `None`
    /// while the client of a connection with a gap has acknowledged nothing.
    pub(in crate::worker) fn acknowledged_position(&self) -> Option<Position> {
        let acknowledged = self.acknowledged()?;
        let through = match self.phase {
            Phase::CatchingUp { after } => after,
            Phase::Live => self.shard.cursor(),
            _ => self.missed_after.min(self.shard.cursor()),
        };
        let has_all = acknowledged >= self.sent;
        Some(self.position(if has_all { acknowledged.max(through) } else { acknowledged }))
    }

    /// Notes that the worker requests an acknowledgement at its next tick; `true` if that is new.
    pub(in crate::worker) fn want_ack(&mut self) -> bool {
        !std::mem::replace(&mut self.wants_ack, true)
    }

    pub(super) fn has_acknowledged_all(&self) -> bool {
        self.acknowledged().is_some_and(|acknowledged| acknowledged >= self.sent)
    }
}
