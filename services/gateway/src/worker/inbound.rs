//! What a client sends, and what is done about it; a fresh token, too.
//!
//! A fresh token with a known key is verified at once, so that the client's next message already finds what the token
//! grants. With a new key the issuer has to be asked, and the connection continues meanwhile with what it has.

use std::fmt::Display;
use std::rc::Rc;

use axum::http::StatusCode;
use tidings_access::{Claims, Refusal, Token};
use tidings_model::Tenant;
use tidings_protocol::client::{ClientMessage, Refused, Request};
use tidings_protocol::close::CloseCode;
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::framing::{self, Opcode, Violation};
use tidings_protocol::server::{Form, ServerMessage};
use tidings_session::Moment;
use tokio::time::Instant;

use super::Worker;
use super::connection::{Connection, MAX_CONFIRMATIONS, MAX_PENDING, ReceivedFrame, State, too_many};
use super::figures::Counted;
use super::served_shard::ConnectionId;
use crate::error::ApiError;
use crate::limits::Verdict;

/// Bytes of a client's frame besides its payload, at most.
const HEADER: usize = 14;

/// Frames and bytes of one connection.
#[derive(Default)]
struct Traffic {
    frames: usize,
    bytes: usize,
}

impl Worker {
    /// Reads what the client has sent and handles it.
    pub(super) fn read(self: &Rc<Self>, connection: &Rc<Connection>) {
        let unparsed = connection.state().take_unparsed();
        if let Some(mut unparsed) = unparsed {
            return self.receive(connection, &mut unparsed);
        }
        let mut scratch = self.scratch.borrow_mut();
        match connection.read(&mut scratch) {
            None => {}
            Some(0) => connection.state().end(),
            Some(count) => self.receive(connection, scratch.get_mut(..count).unwrap_or_default()),
        }
    }

    /// Handles a message that the client of an event stream has sent by a request. `false` if the user has no such connection
    /// that receives messages now.
    pub(super) fn receive_text(
        self: &Rc<Self>,
        id: ConnectionId,
        (tenant, user): (&Tenant, &str),
        text: &str,
    ) -> bool {
        let Some(connection) = self.connection(id) else { return false };
        {
            let mut state = connection.state();
            let consumer = &state.principal().consumer;
            let is_own = consumer.tenant() == tenant && consumer.user() == user;
            if !is_own || !connection.is_http() || !state.is_served() || state.holds_back() {
                return false;
            }
        }
        self.receive(&connection, &mut framing::client_text(text.as_bytes()));
        connection.state().wake();
        true
    }

    /// Handles bytes that the client has sent, until it has to read its answers. The rest is kept.
    pub(super) fn receive(self: &Rc<Self>, connection: &Rc<Connection>, bytes: &mut [u8]) {
        let now = Instant::now();
        let state = &mut *connection.state();
        let (came, limit) = (bytes.len(), state.budget().max_frame_bytes());
        let mut inbound = state.begin_reading(now);
        let mut inflater = connection.is_compressed().then(|| self.common.deflate().inflater());
        let mut messages = inbound.feed(bytes, limit).inflated_by(inflater.as_deref_mut());
        let mut spared = Traffic::default();
        while !state.holds_back() {
            let Some(received) = messages.next() else { break };
            let (moment, mut length) = (self.moment(state), HEADER);
            let frame = ReceivedFrame::of(
                |kind| state.obeys(kind),
                received,
                |text| {
                    length += text.len();
                    moment.read(text)
                },
            );
            let Some(frame) = frame else { continue };
            let is_spared =
                matches!(&frame, ReceivedFrame::Message(read) if is_new_acknowledgement(state, read));
            if is_spared {
                (spared.frames, spared.bytes) = (spared.frames + 1, spared.bytes + length);
            }
            if is_spared || self.admit(connection, state, &frame, now) {
                self.handle(connection, state, frame, moment, now);
            }
        }
        let frames = messages.frames().saturating_sub(spared.frames);
        let unparsed: &[u8] = messages.rest();
        let parsed = came - unparsed.len();
        self.figures.count(Counted::ReceivedBytes, parsed as u64);
        let bytes = parsed.saturating_sub(spared.bytes);
        state.end_reading(inbound, unparsed);
        self.charge(connection, state, &Traffic { frames, bytes }, now);
        connection.flush_now(state);
    }

    fn handle(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        frame: ReceivedFrame<'_>,
        moment: Moment,
        now: Instant,
    ) {
        if frame.is_message() && !connection.goes_on_after(matches!(frame, ReceivedFrame::TooLong { .. })) {
            let text = "one message after the other was too long";
            let limit = state.budget().max_frame_bytes();
            self.refuse(state, &too_long(limit).in_reply_to(frame.id()));
            return connection.close(state, CloseCode::MessageTooBig, text, now);
        }
        match frame {
            ReceivedFrame::Message(read) => {
                state.note_received();
                if is_confirmed(state, &read) && state.pending().confirmations.len() >= MAX_CONFIRMATIONS {
                    let error = too_many(MAX_CONFIRMATIONS, "stored");
                    let id = read.ok().and_then(|request| request.id);
                    return self.refuse(state, &error.in_reply_to(id));
                }
                for effect in state.session().receive(read, moment) {
                    self.apply(connection, state, effect);
                }
            }
            ReceivedFrame::Binary => {
                let text = "a binary message is not understood, expected text";
                self.refuse(state, &ErrorMessage::new(ErrorCode::UnsupportedData, text));
            }
            ReceivedFrame::TooLong { limit, id } => self.refuse(state, &too_long(limit).in_reply_to(id)),
            ReceivedFrame::Ping(payload) => state.send(framing::frame(Opcode::Pong, &payload)),
            ReceivedFrame::Pong(payload) => self.pong(state, &payload),
            ReceivedFrame::Close(code) => state.closed_by_client(code, now),
            ReceivedFrame::Violation(violation) => self.violated(connection, state, violation, now),
        }
    }

    fn pong(&self, state: &mut State, payload: &[u8]) {
        if let Some(sequence) = state.pong_sequence(payload) {
            self.acknowledge(state, sequence);
        }
    }

    /// Whether the rate limit admits the frame. A client that ignores refusals is disconnected.
    fn admit(
        &self,
        connection: &Connection,
        state: &mut State,
        frame: &ReceivedFrame<'_>,
        now: Instant,
    ) -> bool {
        if !frame.is_message() {
            return true;
        }
        match state.budget().message() {
            Verdict::Admitted => return true,
            Verdict::Refused(error) => self.refuse(state, &error.in_reply_to(frame.id())),
            Verdict::Regardless => {
                let text = "messages went on beyond the rate limit";
                connection.close(state, CloseCode::RateLimitExceeded, text, now);
            }
        }
        false
    }

    /// Counts what was read against the rate limits, whatever became of it.
    fn charge(&self, connection: &Connection, state: &mut State, traffic: &Traffic, now: Instant) {
        if !state.is_served() {
            return;
        }
        match state.budget().traffic(traffic.frames, traffic.bytes) {
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
            now: self.now(),
            sequence: state.shard().cursor(),
            sent: state.sent(),
            max_topics: self.context.settings.max_topics.get(),
        }
    }
}

/// Fresh tokens.
impl Worker {
    /// Takes a fresh token of the same user.
    pub(super) fn authenticate(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        token: &str,
        id: Option<MessageId>,
    ) {
        let token = match Token::parse(token) {
            Ok(token) => token,
            Err(refusal) => return self.renew(connection, state, Err(refusal), id),
        };
        match self.context.authenticator.verify_known(&token) {
            Err(refusal) if refusal.may_pass() => {
                if state.pending().authentications >= MAX_PENDING {
                    return self.refuse(state, &too_many(MAX_PENDING, "verified").in_reply_to(id));
                }
                state.pending().authentications += 1;
                let (worker, connection) = (Rc::clone(self), Rc::clone(connection));
                self.spawn(async move {
                    let verified = worker.context.authenticator.verify(&token).await;
                    let mut state = connection.state();
                    state.pending().authentications -= 1;
                    state.tidy();
                    // A connection that is being closed obeys nothing; one that has ended has left the routing table,
                    // and must not enter it again.
                    if !state.is_served() {
                        return;
                    }
                    worker.renew(&connection, &mut state, verified, id);
                    connection.flush_now(&mut state);
                });
            }
            verified => self.renew(connection, state, verified, id),
        }
    }

    fn renew(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        verified: Result<Claims, Refusal>,
        id: Option<MessageId>,
    ) {
        let device = state.principal().consumer.device().to_owned();
        let fresh = verified
            .map_err(ApiError::from)
            .and_then(|claims| self.context.authenticator.principal(&claims, &device));
        let user = state.principal().user();
        let refused = |code: &str, why: &dyn Display| {
            let status = (StatusCode::UNAUTHORIZED, code);
            self.context.audit.refused_with("authenticate", status, why, user.as_ref(), connection.from());
        };
        if let Err(error) = &fresh {
            refused(error.code().as_str(), error);
        }
        let renewed = fresh
            .map_err(|error| ErrorMessage::new(ErrorCode::Unauthorized, error.to_string()))
            .and_then(|fresh| {
                let expires = fresh.expires_at;
                let effects = state.session().renew(fresh).inspect_err(|error| {
                    refused(error.code().as_str(), &error.message());
                })?;
                Ok((effects, expires))
            });
        match renewed {
            Ok((effects, expires)) => {
                for effect in effects {
                    self.apply(connection, state, effect);
                }
                if connection.form() == Form::Sequenced {
                    let authenticated = ServerMessage::Authenticated { expires, original_message_id: id };
                    state.send_text(&authenticated.to_json(self.now()));
                }
            }
            Err(error) => self.refuse(state, &error.in_reply_to(id)),
        }
    }
}

fn too_long(limit: usize) -> ErrorMessage {
    ErrorMessage::new(ErrorCode::MessageTooLarge, format!("the message is longer than {limit} bytes"))
}

/// Whether a message is confirmed when the consumer is stored.
fn is_confirmed(state: &mut State, read: &Result<Request, Refused>) -> bool {
    let Ok(Request { message, id }) = read else { return false };
    state.session().confirms(id.as_ref())
        && matches!(message, ClientMessage::Subscribe { .. } | ClientMessage::Unsubscribe { .. })
}

/// Whether a message acknowledges something new. There are at most as many of those as messages that were sent, so they do
/// not count against the rate limits, however much is sent.
fn is_new_acknowledgement(state: &State, read: &Result<Request, Refused>) -> bool {
    let Ok(Request { message: ClientMessage::Ack { sequence }, .. }) = read else { return false };
    state.is_news(*sequence)
}
