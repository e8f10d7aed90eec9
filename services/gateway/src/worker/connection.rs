//! One client's connection: its socket, its window, and the phase it is in.
//!
//! A connection belongs to one shard, which is one thread, so its state is a plain cell. No borrow
//! is held across an await. The fan-out writes straight to the socket; for all else the shard looks
//! after the connection when there is something to do, and an idle one has no task.

pub(super) mod batch;
pub(super) mod batch_run;
pub(super) mod pending;
pub(super) mod phase;
pub(super) mod received;
pub(super) mod send_queue;
pub(super) mod socket;
pub(super) mod state;

use std::cell::{RefCell, RefMut};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use mio::event::Event;
use tidings_protocol::close::CloseCode;
use tidings_protocol::framing::Inbound;
use tidings_streams::connections::Traffic;
use tokio::time::Instant;

use self::batch::{Batch, Shape};
use self::batch_run::Run;
use self::phase::Phase;
use self::send_queue::{Flushed, Window};
use self::socket::Socket;
use self::state::{Common, State, Unread};
use crate::limits::Seat;
use crate::replica::frame::{Form, FramedEnvelope};
use crate::session::Session;
use crate::worker::routing_table::ConnectionId;

/// In this order in memory, as is [`State`]: what the fan-out touches of each connection lies
/// together, because fetching it from memory is most of what it adds to the system's own work.
#[repr(C)]
pub(crate) struct Connection {
    /// Whom it comes from.
    pub(super) from: IpAddr,
    /// When it was opened, in seconds since 1970; until 2106.
    pub(super) since: u32,
    pub(super) id: ConnectionId,
    /// In what shape it takes envelopes.
    pub(super) shape: Shape,
    socket: Socket,
    state: RefCell<State>,
}

/// With the two counts of an `Rc`; allocators have no size between this and the next quarter of a kilobyte.
const _: () = assert!(size_of::<Connection>() + 16 <= 512, "every idle connection is one");

/// What there is to do for a connection.
pub(super) enum Step {
    Answer,
    Read,
    Write,
    Return,
    Part,
    End,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, form: Form, socket: Socket, opening: Opening) -> Rc<Self> {
        let allowance = opening.seat.allowance();
        // No longer message has a frame.
        let most = u32::try_from(allowance.tenant().max_message_bytes()).unwrap_or(u32::MAX);
        let shape = Shape { form, is_compressed: opening.is_compressed, most };
        let state = State {
            session: opening.session,
            inbound: Inbound::default(),
            allowance,
            phase: Phase::begin(opening.after),
            last_heard: opening.now,
            next_ping: opening.first_ping,
            leaves: opening.leaves,
            told_to_leave: false,
            acknowledged: opening.acknowledged,
            asked: opening.after,
            missed_after: u64::MAX,
            touched: false,
            catching_up: true,
            waiting: None,
            is_held_back: false,
            sent: opening.after,
            generation: opening.generation,
            messages: Traffic::default(),
            window: Window::default(),
            blocked: false,
            has_room: false,
            unread: Unread::Nothing,
            is_busy: false,
            is_called: false,
            last_message: None,
            common: opening.common,
            id,
        };
        let since = u32::try_from(opening.since).unwrap_or(u32::MAX);
        Rc::new(Self { id, shape, from: opening.from, since, socket, state: RefCell::new(state) })
    }

    pub(super) fn form(&self) -> Form {
        self.shape.form
    }

    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// What its socket says.
    pub(super) fn note(&self, event: &Event) {
        let mut state = self.state();
        // Room that was there before the socket took no more is there no longer.
        state.has_room |= state.blocked && event.is_writable();
        if event.is_read_closed() || event.is_error() {
            state.unread = Unread::UpToTheEnd;
        } else if event.is_readable() && state.unread == Unread::Nothing {
            state.unread = Unread::Something;
        }
    }

    /// What comes next; `None` while there is nothing to do.
    pub(super) fn next_step(&self) -> Option<Step> {
        let mut state = self.state();
        state.is_called = false;
        let phase = state.phase;
        // Whatever is at work for it.
        if phase.is_closed() {
            return Some(Step::End);
        }
        if state.may_look_up() {
            return Some(Step::Answer);
        }
        if state.is_busy {
            return None;
        }
        if phase.is_answered() && state.has_sent_all() {
            return Some(Step::End);
        }
        if phase.is_saving_position() {
            return Some(Step::Part);
        }
        if phase.behind().is_some() && state.has_sent_all() {
            return Some(Step::Return);
        }
        if std::mem::take(&mut state.has_room) {
            state.blocked = false;
            return Some(Step::Write);
        }
        state.may_read().then_some(Step::Read)
    }

    /// What was read and not looked at.
    pub(super) fn take_unheard(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        let unheard = std::mem::take(&mut state.waiting.as_mut()?.unheard);
        state.tidy();
        Some(unheard).filter(|unheard| !unheard.is_empty())
    }

    /// Gives up the socket, even if something is still at work for the connection.
    pub(super) fn give_up(&self) {
        self.socket.abort();
    }

    /// Reads what has come; `None` when nothing had, `Some(0)` at the end of the stream.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        let read = self.socket.read(buffer);
        if self.socket.is_unsent() {
            self.flush();
        }
        let mut state = self.state();
        match read {
            Ok(count) => {
                if state.unread == Unread::Something && self.socket.is_drained_by(count, buffer.len()) {
                    state.unread = Unread::Nothing;
                }
                Some(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                state.unread = Unread::Nothing;
                None
            }
            Err(_) => Some(0),
        }
    }

    /// Gives the connection a run of envelopes on the live path. `true` if it must be flushed and
    /// was not waiting to be already.
    pub(super) fn offer(&self, run: &Run<'_>) -> bool {
        let mut state = self.state();
        if self.offer_whole(&mut state, run) {
            return true;
        }
        let was_idle = state.window.is_empty();
        for index in run.range() {
            self.offer_one(&mut state, run.batch, index);
        }
        was_idle && !state.window.is_empty()
    }

    /// What one by one would come to for whoever keeps up; `false` if it may come to something else.
    fn offer_whole(&self, state: &mut State, run: &Run<'_>) -> bool {
        if !state.phase.is_live() || !state.window.is_empty() || state.has(run.first) {
            return false;
        }
        let Some(length) = run.whole_length(self.shape) else { return false };
        let count = run.share.count();
        if count > state.common.limits.messages || length > state.common.limits.bytes {
            return false;
        }
        state.window.give_whole(run.batch, run.share, self.shape, length);
        state.note_given(run.last, count);
        true
    }

    fn offer_one(&self, state: &mut State, batch: &Rc<Batch>, index: usize) {
        let Some(framed) = batch.envelopes().get(index) else { return };
        if !state.phase.is_served() {
            state.missed_after = state.missed_after.min(framed.sequence() - 1);
        }
        if !state.phase.is_live() || state.has(framed) {
            return;
        }
        if framed.envelope().origin.part > 0 && !state.knows_last_message() {
            // Another part of the message may lie before the connection's position.
            state.phase.catch_up_after(framed.sequence() - 1);
            return state.wake();
        }
        if state.is_full() {
            self.flush_now(state);
            if state.is_full() {
                // Whoever does not keep up costs nothing more from here on, and loses nothing.
                state.phase.catch_up_after(framed.sequence() - 1);
                return;
            }
        }
        state.window.give(batch, index, self.shape);
        state.note_given(framed, 1);
    }

    /// Puts an envelope into the window.
    pub(super) fn give(&self, state: &mut State, framed: &FramedEnvelope) {
        let frame = self.shape.frame(framed, &state.common.deflate).into_owned();
        state.window.push(frame);
        state.note_given(framed, 1);
    }

    /// Sends a Close, which the client may answer for a moment; nothing else counts from here on.
    pub(super) fn close(&self, state: &mut State, code: CloseCode, reason: &str, now: Instant) {
        state.close(code, reason, now);
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
        if state.blocked || state.phase.is_closed() {
            return;
        }
        match self.write_out(state) {
            Ok(Flushed::All) => {
                // The next step may have been waiting for just this.
                if !state.phase.is_live() || state.is_held_back {
                    state.wake();
                }
            }
            Ok(Flushed::Blocked) => {
                state.blocked = true;
            }
            Err(_) => state.end(),
        }
    }

    fn write_out(&self, state: &mut State) -> io::Result<Flushed> {
        match state.window.flush(|slices| self.socket.write(slices))? {
            Flushed::All if state.phase.is_closing() => self.socket.finish(),
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
    pub(super) is_compressed: bool,
    pub(super) seat: Seat,
    pub(super) common: Rc<Common>,
    pub(super) now: Instant,
    pub(super) first_ping: Instant,
    /// When the connection has reached its age.
    pub(super) leaves: Instant,
    /// Delivery begins after this sequence.
    pub(super) after: u64,
    /// The generation that this sequence belongs to.
    pub(super) generation: u32,
    /// What the client is known to have.
    pub(super) acknowledged: Option<u64>,
}
