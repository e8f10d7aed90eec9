//! What a client says, and what is done about it.

use std::rc::Rc;

use tidings_protocol::client::{ClientMessage, Refused, Request};
use tidings_protocol::close::CloseCode;
use tidings_protocol::error::{ErrorCode, ErrorMessage};
use tidings_protocol::framing::{self, Opcode, Violation};
use tokio::time::Instant;

use super::Shard;
use super::connection::Connection;
use crate::limits::Verdict;
use crate::replica::frame::Form;
use crate::session::{Effect, Moment};
use crate::worker::connection::pending::{MAX_CONFIRMATIONS, too_many};
use crate::worker::connection::received::Heard;
use crate::worker::connection::state::State;

/// Bytes of a client's frame besides its payload, at most.
const HEADER: usize = 14;

/// Frames and bytes of one connection.
#[derive(Default)]
struct Traffic {
    frames: usize,
    bytes: usize,
}

impl Shard {
    /// Reads what the client has sent and acts on it.
    pub(super) fn read(self: &Rc<Self>, connection: &Rc<Connection>) {
        if let Some(mut unheard) = connection.take_unheard() {
            return self.hear(connection, &mut unheard);
        }
        let mut scratch = self.scratch.borrow_mut();
        match connection.read(&mut scratch) {
            None => {}
            Some(0) => connection.state().end(),
            Some(count) => self.hear(connection, scratch.get_mut(..count).unwrap_or_default()),
        }
    }

    /// Acts on bytes that the client has sent, until it has to read what it was answered. The rest is kept.
    pub(super) fn hear(self: &Rc<Self>, connection: &Rc<Connection>, bytes: &mut [u8]) {
        let now = Instant::now();
        let state = &mut *connection.state();
        state.last_heard = now;
        let (came, limit) = (bytes.len(), state.allowance.tenant().max_frame_bytes());
        let mut inbound = std::mem::take(&mut state.inbound);
        let mut inflater = connection.shape.is_compressed.then(|| self.common.deflate.inflater());
        let mut messages = inbound.feed(bytes, limit).inflated_by(inflater.as_deref_mut());
        let mut spared = Traffic::default();
        while !state.holds_back() {
            let Some(received) = messages.next() else { break };
            let (moment, mut length) = (self.moment(state), HEADER);
            let heard = Heard::of(state.phase, received, |text| {
                length += text.len();
                moment.read(text)
            });
            let Some(heard) = heard else { continue };
            let is_spared = matches!(&heard, Heard::Message(read) if is_new_acknowledgement(state, read));
            if is_spared {
                (spared.frames, spared.bytes) = (spared.frames + 1, spared.bytes + length);
            }
            if is_spared || self.admit(connection, state, &heard, now) {
                self.act_on(connection, state, heard, moment, now);
            }
        }
        let frames = messages.frames().saturating_sub(spared.frames);
        let unheard = messages.rest();
        let bytes = (came - unheard.len()).saturating_sub(spared.bytes);
        state.keep_unheard(unheard);
        state.inbound = inbound;
        self.charge(connection, state, &Traffic { frames, bytes }, now);
        connection.flush_now(state);
    }

    fn act_on(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        heard: Heard<'_>,
        moment: Moment,
        now: Instant,
    ) {
        match heard {
            Heard::Message(read) => {
                state.messages.received = state.messages.received.saturating_add(1);
                if is_confirmed(connection, &read) && state.waiting().confirmations.len() >= MAX_CONFIRMATIONS
                {
                    let error = too_many(MAX_CONFIRMATIONS, "stored");
                    let id = read.ok().and_then(|request| request.id);
                    return self.refuse(state, &error.in_reply_to(id));
                }
                for effect in state.session.receive(read, moment) {
                    self.act(connection, state, effect);
                }
            }
            Heard::Binary => {
                let text = "a binary message is not understood, expected text";
                self.refuse(state, &ErrorMessage::new(ErrorCode::UnsupportedData, text));
            }
            Heard::TooLong { limit, id } => self.refuse(state, &too_long(limit).in_reply_to(id)),
            Heard::Ping(payload) => state.say(framing::frame(Opcode::Pong, &payload)),
            Heard::Pong(payload) => self.answered(state, &payload),
            Heard::Close(code) => state.closed_by_client(code, now),
            Heard::Violation(violation) => self.violated(connection, state, violation, now),
        }
    }

    pub(super) fn refuse(&self, state: &mut State, error: &ErrorMessage) {
        state.refuse(error, (self.shared.clock)());
    }

    /// Whether the client may say this now. Whoever goes on regardless is disconnected.
    fn admit(&self, connection: &Connection, state: &mut State, heard: &Heard<'_>, now: Instant) -> bool {
        if !heard.is_message() {
            return true;
        }
        match state.allowance.message() {
            Verdict::Admitted => return true,
            Verdict::Refused(error) => self.refuse(state, &error.in_reply_to(heard.id())),
            Verdict::Regardless => {
                let text = "messages went on beyond the rate limit";
                connection.close(state, CloseCode::RateLimitExceeded, text, now);
            }
        }
        false
    }

    /// Counts what was read against what the client may send, whatever became of it.
    fn charge(&self, connection: &Connection, state: &mut State, traffic: &Traffic, now: Instant) {
        if !state.phase.is_served() {
            return;
        }
        match state.allowance.traffic(traffic.frames, traffic.bytes) {
            Verdict::Admitted => {}
            Verdict::Refused(error) => self.refuse(state, &error),
            Verdict::Regardless => {
                let text = "frames went on beyond the rate limit";
                connection.close(state, CloseCode::RateLimitExceeded, text, now);
            }
        }
    }

    fn violated(&self, connection: &Connection, state: &mut State, violation: Violation, now: Instant) {
        if let Violation::TooLong { limit, .. } = violation {
            self.refuse(state, &too_long(limit));
        }
        connection.close(state, violation.close_code(), &violation.to_string(), now);
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
            Effect::Confirm(confirmation) => self.confirm(connection, state, confirmation),
            Effect::Authenticate { token, id } => self.authenticate(connection, state, token.as_str(), id),
            Effect::Publish { said, id } => self.publish(connection, state, &said, id),
            Effect::LookUp(lookup) => self.look_up(state, lookup),
        }
    }
}

fn too_long(limit: usize) -> ErrorMessage {
    ErrorMessage::new(ErrorCode::MessageTooLarge, format!("the message is longer than {limit} bytes"))
}

/// Whether a message is answered when the consumer is stored; plain clients know no confirmations.
fn is_confirmed(connection: &Connection, read: &Result<Request, Refused>) -> bool {
    let Ok(Request { message, .. }) = read else { return false };
    connection.form() == Form::Sequenced
        && matches!(message, ClientMessage::Subscribe { .. } | ClientMessage::Unsubscribe { .. })
}

/// Whether a message says that something was received of which that was not known yet. There are at most as many of
/// them as messages that were sent, so they are no matter of the limits, however often something is sent.
fn is_new_acknowledgement(state: &State, read: &Result<Request, Refused>) -> bool {
    let Ok(Request { message: ClientMessage::Ack { sequence }, .. }) = read else { return false };
    *sequence <= state.sent && state.acknowledged.is_none_or(|acknowledged| *sequence > acknowledged)
}
