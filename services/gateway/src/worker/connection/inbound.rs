//! What a client sends: its messages, the answers to them, and what it acknowledges; with the position of its consumer that
//! follows from that.

use bytes::Bytes;
use tidings_model::{PlacedPosition, Position};
use tidings_protocol::error::ErrorMessage;
use tidings_protocol::framing::{self, Inbound, Opcode, frame};
use tidings_protocol::server::Form;
use tidings_session::{Principal, Session};
use tidings_streams::consumers::ConsumerName;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::pending::{Pending, StreamReplay};
use super::phase::Phase;
use super::{Connection, State, Unread, one_more};
use crate::consumers::PlaceId;
use crate::limits::MessageBudget;
use crate::worker::figures::Counted;
use crate::worker::served_shard::ConnectionId;

/// A client that sends so many too long messages in a row will send the next one, too.
const MAX_TOO_LONG: u8 = 8;

/// Messages and answers.
impl State {
    pub(in crate::worker) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    pub(in crate::worker) fn principal(&self) -> &Principal {
        self.session.principal()
    }

    /// The durable consumer, and the connection's place in it, if it shares that.
    pub(in crate::worker) fn consumer(&self) -> (&ConsumerName, Option<PlaceId>) {
        (&self.principal().consumer, self.place)
    }

    pub(in crate::worker) fn budget(&mut self) -> &mut MessageBudget {
        &mut self.budget
    }

    /// Queues a frame of the gateway itself. What a client causes is bounded by [`State::holds_back`].
    pub(in crate::worker) fn send(&mut self, frame: Bytes) {
        if !self.is_closing() {
            self.queue.send(frame);
        }
    }

    /// Queues a JSON text of the gateway itself.
    pub(in crate::worker) fn send_text(&mut self, json: &str) {
        self.send(framing::frame(Opcode::Text, json.as_bytes()));
    }

    pub(in crate::worker) fn refuse(&mut self, error: &ErrorMessage, now: OffsetDateTime) {
        self.common.figures.count(Counted::Error(error.code()), 1);
        self.send_text(&error.to_json(now));
    }

    /// Whether a client that does not read its answers has used up the memory for them. Nothing is read from it until all
    /// is written: so it is held back and not disconnected, unless it stays silent.
    pub(in crate::worker) fn holds_back(&mut self) -> bool {
        self.is_held_back = self.is_served() && self.queue.own_bytes() >= self.common.bounds.1;
        self.is_held_back
    }

    /// Takes the decoder for bytes that have come; [`State::end_reading`] puts it back.
    pub(in crate::worker) fn begin_reading(&mut self, now: Instant) -> Inbound {
        self.last_heard = now;
        std::mem::take(&mut self.inbound)
    }

    /// Keeps the bytes that were not parsed, because the client has to read its answers first.
    pub(in crate::worker) fn end_reading(&mut self, inbound: Inbound, unparsed: &[u8]) {
        self.inbound = inbound;
        if !unparsed.is_empty() && self.is_served() {
            self.pending().unparsed = unparsed.to_vec();
        }
    }

    /// The bytes that were not parsed.
    pub(in crate::worker) fn take_unparsed(&mut self) -> Option<Vec<u8>> {
        let unparsed = std::mem::take(&mut self.pending.as_mut()?.unparsed);
        self.tidy();
        Some(unparsed).filter(|unparsed| !unparsed.is_empty())
    }

    pub(in crate::worker) fn note_received(&mut self) {
        self.common.figures.count(Counted::Received, 1);
        self.messages.received = self.messages.received.saturating_add(1);
    }

    /// Whether there may be something to read that may be read now.
    pub(super) fn may_read(&mut self) -> bool {
        let has_unparsed = self.pending.as_ref().is_some_and(|pending| !pending.unparsed.is_empty());
        (self.unread != Unread::Nothing || has_unparsed) && !self.holds_back()
    }

    /// Whether a request for the newest envelope waits for its turn, and it has come.
    pub(in crate::worker) fn may_send_latest(&mut self) -> bool {
        let is_due = self.pending.as_ref().is_some_and(|pending| pending.latest.is_due());
        is_due && self.is_served() && !self.holds_back()
    }

    /// The requests that are not answered yet.
    pub(in crate::worker) fn pending(&mut self) -> &mut Pending {
        self.pending.get_or_insert_default()
    }

    /// The replay from the stream itself.
    pub(in crate::worker) fn take_stream_replay(&mut self) -> Option<Box<StreamReplay>> {
        let replay = self.pending.as_mut()?.stream_replay.take();
        self.tidy();
        replay
    }

    pub(in crate::worker) fn keep_stream_replay(&mut self, replay: Option<Box<StreamReplay>>) {
        if replay.is_some() || self.pending.is_some() {
            self.pending().stream_replay = replay;
            self.tidy();
        }
    }

    /// Frees the memory for pending requests when there are none.
    pub(in crate::worker) fn tidy(&mut self) {
        self.pending.take_if(|pending| pending.is_empty());
    }
}

/// Acknowledgements.
impl State {
    pub(in crate::worker) fn id(&self) -> ConnectionId {
        self.id
    }

    fn acknowledged(&self) -> Option<u64> {
        self.acknowledged.map(|one_more| one_more.get() - 1)
    }

    /// Whether an acknowledgement of this sequence says something new.
    pub(in crate::worker) fn is_news(&self, sequence: u64) -> bool {
        sequence <= self.sent && self.acknowledged().is_none_or(|acknowledged| sequence > acknowledged)
    }

    /// The client has received everything up to this sequence; an acknowledgement only moves forward. The position to store,
    /// if it is new.
    pub(in crate::worker) fn acknowledge(&mut self, sequence: u64) -> Option<PlacedPosition> {
        if self.acknowledged().is_some_and(|acknowledged| sequence <= acknowledged) {
            return None;
        }
        self.acknowledged = Some(one_more(sequence));
        self.acknowledged_position()
    }

    /// What a plain client is asked: the last sequence that was given, and how often sequences have started over on this
    /// connection, so that no answer from before is taken for one of now.
    fn question(&self) -> String {
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
    pub(in crate::worker) fn acknowledged_position(&self) -> Option<PlacedPosition> {
        let acknowledged = self.acknowledged()?;
        let has_all = acknowledged >= self.sent;
        Some(self.placed(if has_all { acknowledged.max(self.given_through()) } else { acknowledged }))
    }

    /// Everything up to here was given to the connection, or was not for it.
    fn given_through(&self) -> u64 {
        match self.phase {
            Phase::CatchingUp { after } => after,
            Phase::Live => self.shard.cursor(),
            _ => self.missed_after.min(self.shard.cursor()),
        }
    }

    /// Where the client is that has received everything that was given.
    pub(super) fn reached(&self) -> Position {
        self.position(self.sent.max(self.given_through()))
    }

    /// Notes that the worker requests an acknowledgement at its next tick; `true` if that is new.
    pub(in crate::worker) fn want_ack(&mut self) -> bool {
        !std::mem::replace(&mut self.wants_ack, true)
    }

    pub(super) fn has_acknowledged_all(&self) -> bool {
        self.acknowledged().is_some_and(|acknowledged| acknowledged >= self.sent)
    }
}

impl Connection {
    /// Counts the messages in a row that were too long. `false` if they are too many to go on.
    pub(in crate::worker) fn goes_on_after(&self, is_too_long: bool) -> bool {
        self.too_long.set(if is_too_long { self.too_long.get().saturating_add(1) } else { 0 });
        self.too_long.get() < MAX_TOO_LONG
    }

    /// Asks a plain client whether it has received everything that it was sent; a client of `tidings.v1` acknowledges by
    /// itself.
    pub(in crate::worker) fn request_ack(&self, state: &mut State) {
        state.wants_ack = false;
        // A gap may be all that a client was told of.
        let is_open = state.ack_requested < state.sent || state.acknowledged.is_none();
        if self.form() == Form::Plain && is_open {
            state.ack_requested = state.sent;
            let question = frame(Opcode::Ping, state.question().as_bytes());
            state.send(question);
            self.flush_now(state);
        }
    }
}
