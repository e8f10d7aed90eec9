//! One client's connection: its socket, its window, and the phase it is in.
//!
//! A connection belongs to one shard, which is one thread, so its state is a plain cell. No borrow
//! is held across an await. The fan-out writes straight to the socket; the connection's own task
//! only waits: for bytes from the client, for room in the socket, or to read what it missed.

use std::cell::{RefCell, RefMut};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use tidings_protocol::close::CloseCode;
use tidings_protocol::framing::{self, Inbound, Opcode};
use tidings_streams::connections::Traffic;
use tokio::time::Instant;

use super::batch::{Batch, Shape};
use super::deflate::Deflate;
use super::directory::ConnectionId;
use super::fallback::Fallback;
use super::publish::Publications;
use super::socket::Socket;
use super::window::{Flushed, Window};
use crate::framed::{Form, FramedEnvelope, MessageIdentity};
use crate::limits::Allowance;
use crate::session::Session;

/// How long a client may take to answer a Close.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// In this order in memory, as is [`State`]: what the fan-out touches of each connection lies
/// together, because fetching it from memory is most of what it adds to the system's own work.
#[repr(C)]
pub(crate) struct Connection {
    /// Whom it comes from.
    pub(super) from: IpAddr,
    /// When it was opened, in seconds since 1970.
    pub(super) since: u64,
    /// Where permessage-deflate was negotiated.
    pub(super) deflate: Option<Rc<Deflate>>,
    pub(super) id: ConnectionId,
    pub(super) form: Form,
    shape: Shape,
    socket: Socket,
    state: RefCell<State>,
}

#[repr(C)]
pub(super) struct State {
    pub(super) phase: Phase,
    window: Window,
    /// The socket took no more; the connection's task waits for room.
    blocked: bool,
    /// Whether the shard looks at this connection at its next tick.
    pub(super) touched: bool,
    /// Whether the client still has to be told that it has caught up.
    pub(super) catching_up: bool,
    pub(super) told_to_leave: bool,
    /// In which generation of its tenant's envelopes it began.
    pub(super) generation: u32,
    /// The last sequence that was put into the window.
    pub(super) sent: u64,
    last_message: Option<MessageIdentity>,
    /// Bounds of the window.
    limits: WindowLimits,
    /// Messages since the connection was opened.
    pub(super) messages: Traffic,
    waker: Option<Waker>,
    /// Everything up to here was received, as the client says; `None` until a client that was told
    /// of a gap says anything, as it may not have heard of it.
    pub(super) acknowledged: Option<u64>,
    /// The last sequence that a plain client was asked about.
    pub(super) asked: u64,
    /// Once nothing more is given to the connection: everything up to here was.
    pub(super) missed_after: u64,
    pub(super) last_heard: Instant,
    pub(super) next_ping: Instant,
    pub(super) token_expires: Instant,
    /// When the connection is told to leave; once it was told, when it leaves.
    pub(super) leaves: Instant,
    pub(super) session: Session,
    pub(super) inbound: Inbound,
    pub(super) allowance: Allowance,
    /// What is read for the connection from the stream itself.
    pub(super) fallback: Option<Box<Fallback>>,
    /// What the client has said and is being stored.
    pub(super) publications: Publications,
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

/// What a connection's task has to do next.
pub(super) enum Ready {
    Read,
    Write,
    Return,
    Part,
    Over,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, form: Form, socket: Socket, opening: Opening) -> Rc<Self> {
        let most = opening.allowance.tenant().max_message_bytes();
        let shape = Shape { form, is_compressed: opening.deflate.is_some(), most };
        let state = State {
            session: opening.session,
            inbound: Inbound::default(),
            allowance: opening.allowance,
            // Becomes live as soon as it is seen to have everything.
            phase: Phase::Returning { after: opening.after },
            last_heard: opening.now,
            next_ping: opening.first_ping,
            token_expires: opening.token_expires,
            leaves: opening.leaves,
            told_to_leave: false,
            acknowledged: opening.acknowledged,
            asked: opening.after,
            missed_after: u64::MAX,
            touched: false,
            catching_up: true,
            fallback: None,
            publications: Publications::default(),
            sent: opening.after,
            generation: opening.generation,
            messages: Traffic::default(),
            window: Window::default(),
            limits: opening.limits,
            blocked: false,
            last_message: None,
            waker: None,
        };
        let Opening { from, since, deflate, .. } = opening;
        Rc::new(Self { id, form, shape, deflate, from, since, socket, state: RefCell::new(state) })
    }

    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// What comes next; pending while there is nothing to do.
    pub(super) async fn ready(&self) -> Ready {
        poll_fn(|context| {
            let mut state = self.state();
            match state.phase {
                Phase::Over => return Poll::Ready(Ready::Over),
                Phase::Parting => return Poll::Ready(Ready::Part),
                Phase::Closing { answered: true, .. } if state.has_sent_all() => {
                    return Poll::Ready(Ready::Over);
                }
                Phase::Returning { .. } if state.has_sent_all() => return Poll::Ready(Ready::Return),
                _ => {}
            }
            if state.blocked && self.socket.poll_write_ready(context).is_ready() {
                state.blocked = false;
                return Poll::Ready(Ready::Write);
            }
            if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                state.waker = Some(context.waker().clone());
            }
            // An error shows when the read is tried.
            ready!(self.socket.poll_read_ready(context));
            Poll::Ready(Ready::Read)
        })
        .await
    }

    /// Reads what has come; `None` when nothing had, `Some(0)` at the end of the stream.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        let read = self.socket.read(buffer);
        if self.socket.is_unsent() {
            self.flush();
        }
        match read {
            Ok(count) => Some(count),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                None
            }
            Err(_) => Some(0),
        }
    }

    /// Gives the connection envelopes of a batch on the live path. `true` if it must be flushed
    /// and was not waiting to be already.
    pub(super) fn offer(&self, batch: &Rc<Batch>, range: Range<usize>) -> bool {
        let mut state = self.state();
        let was_idle = state.window.is_empty();
        for index in range {
            self.offer_one(&mut state, batch, index);
        }
        was_idle && !state.window.is_empty()
    }

    fn offer_one(&self, state: &mut State, batch: &Rc<Batch>, index: usize) {
        let Some(framed) = batch.envelopes().get(index) else { return };
        if !state.phase.is_served() {
            state.missed_after = state.missed_after.min(framed.sequence() - 1);
        }
        if state.phase != Phase::Live || state.has(framed) {
            return;
        }
        if framed.envelope().origin.part > 0 && !state.knows_last_message() {
            // Another part of the message may lie before the connection's position.
            state.phase = Phase::Returning { after: framed.sequence() - 1 };
            return state.wake();
        }
        if state.is_full() {
            self.flush_now(state);
            if state.is_full() {
                // Whoever does not keep up costs nothing more from here on, and loses nothing.
                state.phase = Phase::Returning { after: framed.sequence() - 1 };
                return;
            }
        }
        state.window.give(batch, index, self.shape);
        state.note_given(framed);
    }

    /// Puts an envelope into the window.
    pub(super) fn give(&self, state: &mut State, framed: &FramedEnvelope) {
        let frame = framed.frame_within(self.form, self.shape.most, self.deflate.as_deref());
        state.window.push(frame.into_owned());
        state.note_given(framed);
    }

    /// Says goodbye; the client has a few seconds to answer.
    pub(super) fn close(&self, state: &mut State, code: CloseCode, reason: &str, now: Instant) {
        state.say(framing::close(code, reason));
        if state.phase != Phase::Over {
            state.stop(Phase::Closing { until: now + CLOSING_TIME, answered: false });
        }
        self.flush_now(state);
    }

    pub(super) fn flush(&self) {
        self.flush_now(&mut self.state());
    }

    /// Begins to fetch from memory what a flush needs, while the connection before is written to.
    pub(super) fn approach(&self) {
        std::hint::black_box(self.state.try_borrow().is_ok_and(|state| state.blocked));
    }

    /// Writes what the socket takes; for the rest the connection's task waits.
    pub(super) fn flush_now(&self, state: &mut State) {
        if state.blocked || state.phase == Phase::Over {
            return;
        }
        match self.write_out(state) {
            Ok(Flushed::All) => {
                // Its task may have been waiting for just this.
                if !matches!(state.phase, Phase::Live) {
                    state.wake();
                }
            }
            Ok(Flushed::Blocked) => {
                state.blocked = true;
                state.wake();
            }
            Err(_) => state.end(),
        }
    }

    fn write_out(&self, state: &mut State) -> io::Result<Flushed> {
        match state.window.flush(|slices| self.socket.write(slices))? {
            Flushed::All if matches!(state.phase, Phase::Closing { .. }) => self.socket.finish(),
            Flushed::All => self.socket.flush(),
            Flushed::Blocked => Ok(Flushed::Blocked),
        }
    }
}

/// What a connection begins with.
pub(super) struct Opening {
    pub(super) from: IpAddr,
    pub(super) since: u64,
    pub(super) session: Session,
    /// Where permessage-deflate was negotiated.
    pub(super) deflate: Option<Rc<Deflate>>,
    pub(super) allowance: Allowance,
    pub(super) limits: WindowLimits,
    pub(super) now: Instant,
    pub(super) first_ping: Instant,
    pub(super) token_expires: Instant,
    /// When the connection has reached its age.
    pub(super) leaves: Instant,
    /// Delivery begins after this sequence.
    pub(super) after: u64,
    /// The generation that this sequence belongs to.
    pub(super) generation: u32,
    /// What the client is known to have.
    pub(super) acknowledged: Option<u64>,
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
    fn has_sent_all(&self) -> bool {
        self.window.is_empty() && !self.blocked
    }

    pub(super) fn is_full(&self) -> bool {
        self.window.messages() >= self.limits.messages || self.window.bytes() >= self.limits.bytes
    }

    fn note_given(&mut self, framed: &FramedEnvelope) {
        self.sent = framed.sequence();
        self.messages.sent = self.messages.sent.saturating_add(1);
        self.last_message = Some(framed.identity());
    }

    /// Queues a frame of the gateway itself. Beyond twice the window the client is not reading
    /// what it asks for, and the connection ends.
    pub(super) fn say(&mut self, frame: Bytes) {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Over) {
            return;
        }
        if self.window.messages() >= 2 * self.limits.messages {
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
    fn stop(&mut self, phase: Phase) {
        if let Phase::Returning { after } = self.phase {
            self.missed_after = after;
        }
        self.phase = phase;
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
