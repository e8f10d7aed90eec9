//! Received means received: what was sent is asked about, what was received is noted.
//!
//! A client of `tidings.v1` acknowledges by itself. A plain client is asked with a Ping that
//! carries the last sequence; its Pong, which every browser returns by itself and in order
//! (RFC 6455, section 5.5.3), proves that everything before it arrived. Asked at the shard's tick,
//! so that a stream of messages costs one question and not one each; noted at once, so that whoever
//! acknowledges and connects again, however quickly, stands where it said.

use std::rc::Rc;

use tidings_model::Position;
use tidings_protocol::framing::{Opcode, frame};

use super::Shard;
use super::connection::Connection;
use crate::replica::frame::Form;
use crate::worker::connection::state::State;

impl Shard {
    /// Asks the connection at the next tick, if it does not speak by itself.
    pub(super) fn touch(&self, connection: &Rc<Connection>) {
        if connection.form() != Form::Plain {
            return;
        }
        let mut state = connection.state();
        if !state.touched {
            state.touched = true;
            self.touched.borrow_mut().push(connection.id);
        }
    }

    /// Asks plain clients about what they were sent.
    pub(super) fn settle(&self) {
        for connection in self.touched.take().into_iter().filter_map(|id| self.connection(id)) {
            let mut state = connection.state();
            state.touched = false;
            connection.ask(&mut state);
        }
    }

    /// A Pong: the answer to a question, unless it answers a heartbeat or is unasked for.
    pub(super) fn answered(&self, state: &mut State, payload: &[u8]) {
        let sequence = std::str::from_utf8(payload).ok().and_then(|text| text.parse::<u64>().ok());
        if let Some(sequence) = sequence.filter(|sequence| *sequence <= state.asked) {
            self.acknowledged(state, sequence);
        }
    }

    /// The client has everything up to this sequence. Only ever forward.
    pub(super) fn acknowledged(&self, state: &mut State, sequence: u64) {
        if state.acknowledged.is_none_or(|acknowledged| sequence > acknowledged) {
            state.acknowledged = Some(sequence);
            if let Some(position) = self.received(state) {
                self.shared.positions.acknowledge(&state.session.passport().consumer, position);
            }
            state.part_if_settled();
        }
    }

    /// Where the consumer stands. Whoever has received all that was sent has everything that was
    /// looked at for it, even if the last of it was for others: so a position does not grow old on a
    /// user who is told little. `None` where it stood before, as far as this connection knows.
    pub(super) fn received(&self, state: &State) -> Option<Position> {
        let acknowledged = state.acknowledged?;
        let through = match state.phase.behind() {
            Some(after) => after,
            None if state.phase.is_live() => self.cursor.get(),
            None => state.missed_after.min(self.cursor.get()),
        };
        let has_all = acknowledged >= state.sent;
        Some(self.position(state, if has_all { acknowledged.max(through) } else { acknowledged }))
    }
}

impl Connection {
    /// Asks a plain client whether it has everything that it was sent.
    pub(super) fn ask(&self, state: &mut State) {
        if self.form() == Form::Plain && state.asked < state.sent {
            state.asked = state.sent;
            let question = frame(Opcode::Ping, state.sent.to_string().as_bytes());
            state.say(question);
            self.flush_now(state);
        }
    }
}
