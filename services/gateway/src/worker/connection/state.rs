//! What a connection is in the middle of: its phase, what was given to it, and its conversation.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use bytes::Bytes;
use tidings_protocol::close::CloseCode;
use tidings_protocol::error::ErrorMessage;
use tidings_protocol::framing::{self, Inbound, Opcode};
use tidings_streams::connections::Traffic;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::limits::Allowance;
use crate::replica::deflate::Deflate;
use crate::replica::frame::{FramedEnvelope, MessageIdentity};
use crate::session::Session;
use crate::worker::connection::pending::Waiting;
use crate::worker::connection::phase::Phase;
use crate::worker::connection::send_queue::Window;
use crate::worker::event_loop::Calls;
use crate::worker::replay_from_stream::Fallback;
use crate::worker::routing_table::ConnectionId;

/// In this order in memory: what the fan-out touches lies together, and first.
#[repr(C)]
pub(in crate::worker) struct State {
    pub(in crate::worker) phase: Phase,
    pub(in crate::worker) window: Window,
    /// The socket took no more, and has not told of room since.
    pub(in crate::worker) blocked: bool,
    /// The socket has told of room.
    pub(in crate::worker) has_room: bool,
    /// Nothing is read until the client has read what it was answered.
    pub(in crate::worker) is_held_back: bool,
    /// There may be something to read.
    pub(in crate::worker) unread: Unread,
    /// A task of the connection's own is at work; what it does not do waits for its end.
    pub(in crate::worker) is_busy: bool,
    /// Whether the shard was called to look after the connection.
    pub(in crate::worker) is_called: bool,
    /// Whether the shard looks at this connection at its next tick.
    pub(in crate::worker) touched: bool,
    /// Whether the client still has to be told that it has caught up.
    pub(in crate::worker) catching_up: bool,
    pub(in crate::worker) told_to_leave: bool,
    /// In which generation of its tenant's envelopes it began.
    pub(in crate::worker) generation: u32,
    /// The last sequence that was put into the window.
    pub(in crate::worker) sent: u64,
    pub(in crate::worker) last_message: Option<MessageIdentity>,
    /// Messages since the connection was opened.
    pub(in crate::worker) messages: Traffic,
    /// What it has in common with all others of the shard.
    pub(in crate::worker) common: Rc<Common>,
    pub(in crate::worker) id: ConnectionId,
    /// Everything up to here was received, as the client says; `None` until a client that was told
    /// of a gap says anything, as it may not have heard of it.
    pub(in crate::worker) acknowledged: Option<u64>,
    /// The last sequence that a plain client was asked about.
    pub(in crate::worker) asked: u64,
    /// Once nothing more is given to the connection: everything up to here was.
    pub(in crate::worker) missed_after: u64,
    pub(in crate::worker) last_heard: Instant,
    pub(in crate::worker) next_ping: Instant,
    /// When the connection is told to leave; once it was told, when it leaves.
    pub(in crate::worker) leaves: Instant,
    pub(in crate::worker) session: Session,
    pub(in crate::worker) inbound: Inbound,
    pub(in crate::worker) allowance: Allowance,
    /// What the client has sent and was not answered yet.
    pub(in crate::worker) waiting: Option<Box<Waiting>>,
}

/// What the connections of a shard have in common.
pub(in crate::worker) struct Common {
    /// Bounds of each window.
    pub(in crate::worker) limits: WindowLimits,
    /// For those that negotiated it.
    pub(in crate::worker) deflate: Rc<Deflate>,
    /// By which the shard hears of them.
    pub(in crate::worker) calls: Calls,
    /// When the phases end that end by themselves.
    pub(in crate::worker) deadlines: Deadlines,
}

/// When phases end. Beside the shard's timers, of which a connection has one: that lies where a Close has to be met that
/// nobody has thought of when it was set.
#[derive(Default)]
pub(in crate::worker) struct Deadlines(RefCell<BinaryHeap<Reverse<(Instant, ConnectionId)>>>);

impl Deadlines {
    fn add(&self, at: Instant, id: ConnectionId) {
        self.0.borrow_mut().push(Reverse((at, id)));
    }

    /// A connection whose deadline has come.
    pub(in crate::worker) fn next_due(&self, now: Instant) -> Option<ConnectionId> {
        let mut deadlines = self.0.borrow_mut();
        let is_due = deadlines.peek().is_some_and(|Reverse((at, _))| *at <= now);
        if is_due { deadlines.pop().map(|Reverse((_, id))| id) } else { None }
    }
}

/// What a socket is known to hold for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum Unread {
    Nothing,
    Something,
    /// Or the end, behind whatever else there is.
    UpToTheEnd,
}

/// How much unsent data a connection may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowLimits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl State {
    /// Whether the message was given already, before or through another address.
    pub(in crate::worker) fn has(&self, framed: &FramedEnvelope) -> bool {
        framed.sequence() <= self.sent || self.last_message == Some(framed.identity())
    }

    /// Whether an envelope has been given to the connection.
    pub(in crate::worker) fn knows_last_message(&self) -> bool {
        self.last_message.is_some()
    }

    /// The stream was made anew.
    pub(in crate::worker) fn forget_positions(&mut self, acknowledged: Option<u64>) {
        self.session.forget_positions();
        (self.sent, self.acknowledged, self.asked) = (0, acknowledged, 0);
        self.missed_after = if self.phase.is_served() { u64::MAX } else { 0 };
        self.last_message = None;
        self.keep_fallback(None);
    }

    /// Whether all that was given is with the kernel.
    pub(in crate::worker) fn has_sent_all(&self) -> bool {
        self.window.is_empty() && !self.blocked
    }

    pub(in crate::worker) fn is_full(&self) -> bool {
        self.window.messages() >= self.common.limits.messages
            || self.window.bytes() >= self.common.limits.bytes
    }

    /// So many were given, this one last.
    pub(in crate::worker) fn note_given(&mut self, last: &FramedEnvelope, count: usize) {
        self.sent = last.sequence();
        self.messages.sent = self.messages.sent.saturating_add(count.try_into().unwrap_or_default());
        self.last_message = Some(last.identity());
    }

    /// Queues a frame of the gateway itself. What a client asks for is bounded by [`State::holds_back`].
    pub(in crate::worker) fn say(&mut self, frame: Bytes) {
        if !self.phase.is_closing() {
            self.window.say(frame);
        }
    }

    /// Whether a client that asks without reading what it is answered has used up the memory for that. Nothing is read
    /// from it then until all is written: so it is held back and not disconnected, unless it stays silent.
    pub(in crate::worker) fn holds_back(&mut self) -> bool {
        self.is_held_back = self.phase.is_served() && self.window.said() >= self.common.limits.bytes;
        self.is_held_back
    }

    /// What the client has sent and was not answered yet.
    pub(in crate::worker) fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    /// Keeps what was read and not looked at.
    pub(in crate::worker) fn keep_unheard(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() && self.phase.is_served() {
            self.waiting().unheard = bytes.to_vec();
        }
    }

    /// Whether something was read and not looked at.
    fn has_unheard(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| !waiting.unheard.is_empty())
    }

    /// Whether there may be something to read that may be read now.
    pub(in crate::worker) fn may_read(&mut self) -> bool {
        (self.unread != Unread::Nothing || self.has_unheard()) && !self.holds_back()
    }

    /// Whether a request waits for its turn, and it has come.
    pub(in crate::worker) fn may_look_up(&mut self) -> bool {
        let is_asked = self.waiting.as_ref().is_some_and(|waiting| waiting.is_lookup_due());
        is_asked && self.phase.is_served() && !self.holds_back()
    }

    /// What is being read for the connection from the stream itself.
    pub(in crate::worker) fn take_fallback(&mut self) -> Option<Box<Fallback>> {
        let fallback = self.waiting.as_mut()?.fallback.take();
        self.tidy();
        fallback
    }

    /// Goes on with it later, or not.
    pub(in crate::worker) fn keep_fallback(&mut self, fallback: Option<Box<Fallback>>) {
        if fallback.is_some() || self.waiting.is_some() {
            self.waiting().fallback = fallback;
            self.tidy();
        }
    }

    /// Gives back the memory for what waits, when nothing does.
    pub(in crate::worker) fn tidy(&mut self) {
        self.waiting.take_if(|waiting| waiting.is_idle());
    }

    /// Queues a JSON text of the gateway itself.
    pub(in crate::worker) fn say_text(&mut self, json: &str) {
        self.say(framing::frame(Opcode::Text, json.as_bytes()));
    }

    /// Queues an error.
    pub(in crate::worker) fn refuse(&mut self, error: &ErrorMessage, now: OffsetDateTime) {
        self.say_text(&error.to_json(now));
    }

    /// Sends a Close, unless there was one before, from whatever side.
    pub(in crate::worker) fn close(&mut self, code: CloseCode, reason: &str, now: Instant) {
        if !self.phase.is_closing() {
            self.say(framing::close(code, reason));
            self.stop(|phase| phase.close(now));
        }
    }

    /// The client sent a Close: answers, unless ours was first.
    pub(in crate::worker) fn closed_by_client(&mut self, code: Option<u16>, now: Instant) {
        if !self.phase.is_closing() {
            self.say(framing::close(code.unwrap_or(CloseCode::Normal.into()), ""));
        }
        self.stop(|phase| phase.closed_by_client(now));
    }

    /// Everything up to `after` has been read for a connection that is catching up.
    pub(in crate::worker) fn move_on(&mut self, after: u64) {
        if self.phase.behind().is_some() {
            self.phase.catch_up_after(after);
        }
    }

    /// Gives the connection nothing more; for a while it may acknowledge what it was given.
    pub(in crate::worker) fn leave(&mut self, now: Instant) {
        self.stop(|phase| phase.await_acks(now));
        self.part_if_settled();
    }

    /// Nothing is left to be acknowledged before the Close, or nothing that is waited for.
    fn part(&mut self) {
        self.stop(Phase::save_position);
        self.wake();
    }

    /// Does not wait for a client that has acknowledged everything.
    pub(in crate::worker) fn part_if_settled(&mut self) {
        if self.acknowledged.is_some_and(|acknowledged| acknowledged >= self.sent) {
            self.part();
        }
    }

    /// The time is over that the phase had.
    pub(in crate::worker) fn deadline_met(&mut self, now: Instant) {
        if self.phase.deadline().is_some_and(|deadline| deadline <= now) {
            if self.phase.is_closing() { self.end() } else { self.part() }
        }
    }

    /// Gives up the socket.
    pub(in crate::worker) fn end(&mut self) {
        self.stop(|phase| {
            phase.end();
            true
        });
        self.wake();
    }

    /// Enters a phase in which nothing more is given.
    fn stop(&mut self, transition: impl FnOnce(&mut Phase) -> bool) {
        let behind = self.phase.behind();
        if transition(&mut self.phase) {
            self.missed_after = behind.unwrap_or(self.missed_after);
            if let Some(deadline) = self.phase.deadline() {
                self.common.deadlines.add(deadline, self.id);
            }
        }
    }

    /// Has the shard look after the connection.
    pub(in crate::worker) fn wake(&mut self) {
        if !std::mem::replace(&mut self.is_called, true) {
            self.common.calls.add(self.id);
        }
    }
}
