//! What a connection is in the middle of: its phase, what was given to it, and its conversation.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tidings_protocol::close::CloseCode;
use tidings_protocol::framing::{self, Inbound, Opcode};
use tidings_streams::connections::Traffic;
use tokio::time::Instant;

use super::attention::Calls;
use super::deflate::Deflate;
use super::directory::ConnectionId;
use super::fallback::Fallback;
use super::publish::Publications;
use super::window::Window;
use crate::framed::{FramedEnvelope, MessageIdentity};
use crate::limits::Allowance;
use crate::session::Session;

/// How long a client may take to answer a Close.
pub(super) const CLOSING_TIME: Duration = Duration::from_secs(5);

/// In this order in memory: what the fan-out touches lies together, and first.
#[repr(C)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) window: Window,
    /// The socket took no more, and has not told of room since.
    pub(super) blocked: bool,
    /// The socket has told of room.
    pub(super) has_room: bool,
    /// There may be something to read.
    pub(super) unread: Unread,
    /// A task of the connection's own is at work; what it does not do waits for its end.
    pub(super) is_busy: bool,
    /// Whether the shard was called to look after the connection.
    pub(super) is_called: bool,
    /// Whether the shard looks at this connection at its next tick.
    pub(super) touched: bool,
    /// Whether the client still has to be told that it has caught up.
    pub(super) catching_up: bool,
    pub(super) told_to_leave: bool,
    /// In which generation of its tenant's envelopes it began.
    pub(super) generation: u32,
    /// The last sequence that was put into the window.
    pub(super) sent: u64,
    pub(super) last_message: Option<MessageIdentity>,
    /// Messages since the connection was opened.
    pub(super) messages: Traffic,
    /// What it has in common with all others of the shard.
    pub(super) common: Rc<Common>,
    pub(super) id: ConnectionId,
    /// Everything up to here was received, as the client says; `None` until a client that was told
    /// of a gap says anything, as it may not have heard of it.
    pub(super) acknowledged: Option<u64>,
    /// The last sequence that a plain client was asked about.
    pub(super) asked: u64,
    /// Once nothing more is given to the connection: everything up to here was.
    pub(super) missed_after: u64,
    pub(super) last_heard: Instant,
    pub(super) next_ping: Instant,
    /// When the connection is told to leave; once it was told, when it leaves.
    pub(super) leaves: Instant,
    pub(super) session: Session,
    pub(super) inbound: Inbound,
    pub(super) allowance: Allowance,
    /// What is read for the connection from the stream itself.
    pub(super) fallback: Option<Box<Fallback>>,
    /// What the client has said and is being stored.
    pub(super) publications: Option<Box<Publications>>,
}

/// What the connections of a shard have in common.
pub(super) struct Common {
    /// Bounds of each window.
    pub(super) limits: WindowLimits,
    /// For those that negotiated it.
    pub(super) deflate: Rc<Deflate>,
    /// By which the shard hears of them.
    pub(super) calls: Calls,
}

/// What a socket is known to hold for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Everything before the shard's cursor has been given; what comes is delivered as it comes.
    Live,
    /// Everything up to `after` has been given; the rest is read from the mailbox, as fast as the
    /// client takes it.
    Returning { after: u64 },
    /// Nothing more is given; what was given may be acknowledged until then.
    Leaving { until: Instant },
    /// Where it stands is being saved; then comes the Close.
    Parting,
    /// A Close was sent or received; nothing more is delivered.
    Closing { until: Instant, answered: bool },
    /// The socket is of no use any more.
    Over,
}

impl Phase {
    /// Whether messages are given to the connection.
    pub(super) fn is_served(self) -> bool {
        matches!(self, Self::Live | Self::Returning { .. })
    }
}

impl State {
    /// Whether the message was given already, before or through another address.
    pub(super) fn has(&self, framed: &FramedEnvelope) -> bool {
        framed.sequence() <= self.sent || self.last_message == Some(framed.identity())
    }

    /// Whether an envelope has been given to the connection.
    pub(super) fn knows_last_message(&self) -> bool {
        self.last_message.is_some()
    }

    /// The stream was made anew.
    pub(super) fn forget_positions(&mut self, acknowledged: Option<u64>) {
        self.session.forget_positions();
        (self.sent, self.acknowledged, self.asked) = (0, acknowledged, 0);
        self.missed_after = if self.phase.is_served() { u64::MAX } else { 0 };
        self.last_message = None;
        self.fallback = None;
    }

    /// Whether all that was given is with the kernel.
    pub(super) fn has_sent_all(&self) -> bool {
        self.window.is_empty() && !self.blocked
    }

    pub(super) fn is_full(&self) -> bool {
        self.window.messages() >= self.common.limits.messages
            || self.window.bytes() >= self.common.limits.bytes
    }

    /// So many were given, this one last.
    pub(super) fn note_given(&mut self, last: &FramedEnvelope, count: usize) {
        self.sent = last.sequence();
        self.messages.sent = self.messages.sent.saturating_add(count.try_into().unwrap_or_default());
        self.last_message = Some(last.identity());
    }

    /// Queues a frame of the gateway itself. Beyond twice the window the client is not reading
    /// what it asks for, and the connection ends.
    pub(super) fn say(&mut self, frame: Bytes) {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Over) {
            return;
        }
        if self.window.messages() >= 2 * self.common.limits.messages {
            return self.end();
        }
        self.window.push(frame);
    }

    /// Queues a JSON text of the gateway itself.
    pub(super) fn say_text(&mut self, json: &str) {
        self.say(framing::frame(Opcode::Text, json.as_bytes()));
    }

    /// The client said goodbye: answers, unless ours was first.
    pub(super) fn closed_by_client(&mut self, code: Option<u16>, now: Instant) {
        if !matches!(self.phase, Phase::Closing { .. }) {
            self.say(framing::close(code.unwrap_or(CloseCode::Normal.into()), ""));
        }
        self.stop(Phase::Closing { until: now + CLOSING_TIME, answered: true });
    }

    /// Everything up to `after` has been read for a connection that returns.
    pub(super) fn move_on(&mut self, after: u64) {
        if let Phase::Returning { .. } = self.phase {
            self.phase = Phase::Returning { after };
        }
    }

    /// Gives the connection nothing more; until then it may acknowledge what it was given.
    pub(super) fn leave(&mut self, until: Instant) {
        self.stop(Phase::Leaving { until });
        self.part_if_settled();
    }

    /// Nothing is left to be acknowledged before the Close, or nothing that is waited for.
    pub(super) fn part(&mut self) {
        self.stop(Phase::Parting);
        self.wake();
    }

    /// Does not wait for a client that has acknowledged everything.
    pub(super) fn part_if_settled(&mut self) {
        let has_all = self.acknowledged.is_some_and(|acknowledged| acknowledged >= self.sent);
        if has_all && matches!(self.phase, Phase::Leaving { .. }) {
            self.part();
        }
    }

    /// Gives up the socket.
    pub(super) fn end(&mut self) {
        self.stop(Phase::Over);
        self.wake();
    }

    /// Enters a phase in which nothing more is given.
    pub(super) fn stop(&mut self, phase: Phase) {
        if let Phase::Returning { after } = self.phase {
            self.missed_after = after;
        }
        self.phase = phase;
    }

    /// Has the shard look after the connection.
    pub(super) fn wake(&mut self) {
        if !std::mem::replace(&mut self.is_called, true) {
            self.common.calls.add(self.id);
        }
    }
}
