//! What a client says, and what is done about it.

use std::rc::Rc;

use tidings_protocol::client::{ClientMessage, Refused, Request};
use tidings_protocol::close::CloseCode;
use tidings_protocol::error::{ErrorCode, ErrorMessage};
use tidings_protocol::framing::{self, Message, Opcode, Violation};
use tokio::time::Instant;

use super::Shard;
use super::connection::Connection;
use super::state::State;
use crate::limits::Verdict;
use crate::session::{Effect, Moment};

impl Shard {
    /// Reads what the client has sent and acts on it.
    pub(super) fn read(self: &Rc<Self>, connection: &Rc<Connection>) {
        let mut scratch = self.scratch.borrow_mut();
        match connection.read(&mut scratch) {
            None => {}
            Some(0) => connection.state().end(),
            Some(count) => self.hear(connection, scratch.get_mut(..count).unwrap_or_default()),
        }
    }

    /// Acts on bytes that the client has sent.
    pub(super) fn hear(self: &Rc<Self>, connection: &Rc<Connection>, bytes: &mut [u8]) {
        let now = Instant::now();
        let state = &mut *connection.state();
        state.last_heard = now;
        let mut inbound = std::mem::take(&mut state.inbound);
        let mut inflater = connection.shape.is_compressed.then(|| self.common.deflate.inflater());
        let messages = inbound.feed(bytes, state.allowance.tenant().max_frame_bytes());
        for message in messages.inflated_by(inflater.as_deref_mut()) {
            match message {
                Ok(Message::Text(text)) => {
                    state.messages.received = state.messages.received.saturating_add(1);
                    let moment = self.moment(state);
                    let read = moment.read(&text);
                    if is_new_acknowledgement(state, &read) || self.admit(connection, state, now) {
                        for effect in state.session.receive(read, moment) {
                            self.act(connection, state, effect);
                        }
                    }
                }
                Ok(Message::Binary) => {
                    if self.admit(connection, state, now) {
                        let text = "a binary message is not understood, expected text";
                        self.refuse(state, &ErrorMessage::new(ErrorCode::UnsupportedData, text));
                    }
                }
                Ok(Message::Ping(payload)) => state.say(framing::frame(Opcode::Pong, &payload)),
                Ok(Message::Pong(payload)) => self.answered(state, &payload),
                Ok(Message::Close { code, .. }) => state.closed_by_client(code, now),
                Err(violation) => self.violated(connection, state, violation, now),
            }
        }
        state.inbound = inbound;
        connection.flush_now(state);
    }

    pub(super) fn refuse(&self, state: &mut State, error: &ErrorMessage) {
        state.say_text(&error.to_json((self.shared.clock)()));
    }

    /// Whether the client may say something now. Whoever goes on regardless is disconnected.
    fn admit(&self, connection: &Connection, state: &mut State, now: Instant) -> bool {
        match state.allowance.message() {
            Verdict::Admitted => return true,
            Verdict::Refused(error) => self.refuse(state, &error),
            Verdict::Regardless => {
                let text = "messages went on beyond the rate limit";
                connection.close(state, CloseCode::RateLimitExceeded, text, now);
            }
        }
        false
    }

    fn violated(&self, connection: &Connection, state: &mut State, violation: Violation, now: Instant) {
        let code = violation.close_code();
        if code == CloseCode::MessageTooBig {
            let most = state.allowance.tenant().max_frame_bytes();
            let text = format!("the message is longer than {most} bytes");
            self.refuse(state, &ErrorMessage::new(ErrorCode::MessageTooLarge, text));
        }
        connection.close(state, code, &violation.to_string(), now);
    }

    fn moment(&self, state: &State) -> Moment {
        Moment {
            now: (self.shared.clock)(),
            sequence: self.cursor.get(),
            sent: state.sent,
            max_topics: self.shared.settings.max_topics.get(),
        }
    }

    pub(super) fn act(self: &Rc<Self>, connection: &Rc<Connection>, state: &mut State, effect: Effect) {
        let tenant = state.session.passport().tenant();
        match effect {
            Effect::Reply(json) => state.say_text(&json),
            Effect::Open(address, filter) => {
                let member = Rc::clone(connection);
                self.directory.borrow_mut().open(tenant, &address, &filter, connection.id, member);
            }
            Effect::Shut(address, filter) => {
                self.directory.borrow_mut().shut(tenant, &address, &filter, connection.id);
            }
            Effect::Acknowledge(sequence) => self.acknowledged(state, sequence),
            Effect::Remember { topic, edit } => {
                let position = self.received(state);
                self.shared.positions.remember(&state.session.passport().consumer, position, topic, edit);
            }
            Effect::Authenticate { token, id } => self.authenticate(connection, state, token.as_str(), id),
            Effect::Publish { said, id } => self.publish(connection, state, &said, id),
            Effect::Newest { subjects, otherwise } => {
                self.answer_newest(connection, tenant, subjects, *otherwise);
            }
        }
    }
}

/// Whether a message says that something was received of which that was not known yet. There are at most as many of
/// them as messages that were sent, so they are no matter of the limits, however often something is sent.
fn is_new_acknowledgement(state: &State, read: &Result<Request, Refused>) -> bool {
    let Ok(Request { message: ClientMessage::Ack { sequence }, .. }) = read else { return false };
    *sequence <= state.sent && state.acknowledged.is_none_or(|acknowledged| *sequence > acknowledged)
}
