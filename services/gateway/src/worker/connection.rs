//! One client's connection: its socket, its send queue, and the state that it is in.
//!
//! A connection belongs to one worker, which is one thread, so its state is a plain cell. No borrow is held across an
//! await. The fan-out writes straight to the socket; for everything else the worker runs the connection when it has
//! something to do, so an idle connection has no task.

mod access_log;
mod answering;
mod delivery;
mod digests;
mod event_stream;
mod http_format;
mod inbound;
mod opening;
mod page;
mod pending;
mod phase;
mod readiness;
mod send_queue;
mod socket;
mod steps;

use std::cell::{Cell, RefCell, RefMut};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidings_protocol::close::CloseCode;
use tidings_protocol::framing::Inbound;
use tidings_protocol::server::{Form, ServerMessage};
use tidings_replica::{Deflate, MessageIdentity};
use tidings_session::Session;
use tidings_streams::connections::{ConnectionName, ConnectionReport, Traffic};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::access_log::AccessLog;
pub(crate) use self::opening::{ClientSocket, NewConnection};
pub(crate) use self::page::{HttpAnswer, PageKind, PageRequest};
use self::pending::Pending;
pub(super) use self::pending::{Found, MAX_CONFIRMATIONS, MAX_PENDING, StreamReplay, too_many};
use self::phase::Phase;
pub(super) use self::phase::{ACKNOWLEDGING_TIME, ReceivedFrame};
pub(super) use self::readiness::Readiness;
pub(super) use self::send_queue::{Batch, BatchRun};
use self::send_queue::{Flushed, SendQueue, Shape};
use self::socket::Socket;
pub(super) use self::steps::Step;
use super::figures::{Counted, WorkerFigures};
use super::served_shard::ConnectionId;
use super::shard_progress::ShardProgress;
use crate::consumers::PlaceId;
use crate::limits::MessageBudget;

/// In this order in memory, as is [`State`]: what the fan-out touches of each connection lies
/// together, because fetching it from memory is most of what it adds to the system's own work.
#[repr(C)]
pub(super) struct Connection {
    /// The client's address.
    from: IpAddr,
    /// How many too long messages the client has sent in a row.
    too_long: Cell<u8>,
    /// When it was opened, in seconds since 1970; until 2106.
    since: u32,
    id: ConnectionId,
    /// The shape in which it receives envelopes.
    shape: Shape,
    socket: Socket,
    state: RefCell<State>,
}

/// With the two counts of an `Rc`; allocators have no size between this and the next quarter of a kilobyte.
/// Where assertions are checked, `mio` has more of each socket.
const _: () =
    assert!(cfg!(debug_assertions) || size_of::<Connection>() + 16 <= 512, "every idle connection is one");

/// The state of a connection: its phase, what was given to it, and its session.
///
/// In this order in memory: what the fan-out touches lies together, and first.
#[repr(C)]
pub(super) struct State {
    phase: Phase,
    queue: SendQueue,
    /// The socket took no more, and has not reported room since.
    blocked: bool,
    /// The socket has reported room.
    has_room: bool,
    /// Nothing is read until the client has read its answers.
    is_held_back: bool,
    /// The socket may have something to read.
    unread: Unread,
    /// A task works for the connection; every other step waits for its end.
    is_busy: bool,
    /// The worker was called to run the connection.
    is_woken: bool,
    /// The worker requests an acknowledgement at its next tick.
    wants_ack: bool,
    /// The client still has to be told that it has caught up.
    catching_up: bool,
    is_close_announced: bool,
    /// It was given nothing since it has followed its tenant, so `last_message` is of the shard before.
    has_followed: bool,
    /// How often sequences have started over, as those of another shard or of a recreated stream.
    sequences_begun: u8,
    /// Its place among the clients that share its device, if it names none.
    place: Option<PlaceId>,
    /// The generation of its tenant's envelopes in which it began.
    generation: u32,
    /// The last sequence that was put into the queue.
    sent: u64,
    last_message: Option<MessageIdentity>,
    /// Messages since the connection was opened.
    messages: Traffic,
    common: Rc<Common>,
    id: ConnectionId,
    /// One more than the sequence up to which the client says that it has received everything; `None` until a client that
    /// was told of a gap says anything, as it may not have received that.
    acknowledged: Option<NonZeroU64>,
    /// The last sequence for which a plain client was asked for an acknowledgement.
    ack_requested: u64,
    /// Once nothing more is given to the connection: everything up to here was.
    missed_after: u64,
    last_heard: Instant,
    next_ping: Instant,
    /// When the client is told that the connection will be closed; once it was told, when it is closed.
    leaves_at: Instant,
    shard: Rc<ShardProgress>,
    session: Session,
    inbound: Inbound,
    budget: MessageBudget,
    pending: Option<Box<Pending>>,
}

fn one_more(sequence: u64) -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(sequence)
}

/// What the connections of a worker have in common: bounds, the compressor, and how they call their worker.
pub(super) struct Common {
    /// The bounds of each connection's send queue, in messages and bytes.
    bounds: (usize, usize),
    deflate: Rc<Deflate>,
    figures: Arc<WorkerFigures>,
    access_log: AccessLog,
    /// Connections that have something to do now.
    woken: RefCell<Vec<ConnectionId>>,
    woke: Notify,
    /// When phases end. Apart from the worker's timers, of which a connection has one: that timer may lie behind the
    /// deadline of a Close that was not foreseen when it was set.
    deadlines: RefCell<BinaryHeap<Reverse<(Instant, ConnectionId)>>>,
}

impl Common {
    pub(super) fn new(bounds: (usize, usize), deflate: Deflate, figures: Arc<WorkerFigures>) -> Rc<Self> {
        Rc::new(Self {
            bounds,
            deflate: Rc::new(deflate),
            figures,
            access_log: AccessLog::default(),
            woken: RefCell::default(),
            woke: Notify::new(),
            deadlines: RefCell::default(),
        })
    }

    /// For connections that negotiated it.
    pub(super) fn deflate(&self) -> &Rc<Deflate> {
        &self.deflate
    }

    /// Waits for connections that have something to do now.
    pub(super) async fn next_woken(&self) -> Vec<ConnectionId> {
        self.woke.notified().await;
        self.woken.take()
    }

    /// A connection whose deadline has passed.
    pub(super) fn next_due(&self, now: Instant) -> Option<ConnectionId> {
        let mut deadlines = self.deadlines.borrow_mut();
        let is_due = deadlines.peek().is_some_and(|Reverse((at, _))| *at <= now);
        if is_due { deadlines.pop().map(|Reverse((_, id))| id) } else { None }
    }

    fn add_deadline(&self, at: Instant, id: ConnectionId) {
        self.deadlines.borrow_mut().push(Reverse((at, id)));
    }
}

/// What a socket is known to hold for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    Nothing,
    Something,
    /// Or the end, behind whatever else there is.
    UpToTheEnd,
}

/// Whether a connection took what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    All,
    /// Its queue was full before.
    Full,
}

impl State {
    /// Whether the connection was just given something and waits.
    fn is_paced(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.paced_until.is_some())
    }

    /// The connection was given something, and waits for this long.
    fn pace(&mut self, every: Duration) {
        let until = Instant::now() + every;
        self.pending().paced_until = Some(until);
        self.common.add_deadline(until, self.id);
    }

    /// The connection may be given something again, if its time has come.
    fn end_pacing(&mut self, now: Instant) {
        let Some(pending) = &mut self.pending else { return };
        if pending.paced_until.take_if(|until| *until <= now).is_some() {
            self.tidy();
            if self.behind().is_some() {
                self.wake();
            }
        }
    }
}

impl Connection {
    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(super) fn from(&self) -> IpAddr {
        self.from
    }

    /// What is reported of the connection, by its name among those of all gateways, at this time in seconds since 1970.
    pub(super) fn report(&self, state: &mut State, name: ConnectionName, now: u64) -> ConnectionReport {
        let subscriptions = state.session().topics().map(str::to_owned).collect();
        let (consumer, since) = (&state.principal().consumer, self.since.into());
        // A minute at least, so that the first seconds do not look like a flood.
        let minutes = f64::from(u32::try_from(now.saturating_sub(since).max(60)).unwrap_or(u32::MAX)) / 60.0;
        let per_minute = |messages: u32| (f64::from(messages) / minutes * 10.0).round() / 10.0;
        let Traffic { sent, received } = state.messages;
        ConnectionReport {
            id: name.to_string(),
            tenant: consumer.tenant().clone(),
            user: consumer.user().to_owned(),
            device: consumer.device().to_owned(),
            gateway: name.gateway,
            address: self.from.to_string(),
            since,
            subscriptions,
            acknowledged: state.acknowledged_position().map(|placed| placed.position.to_string()),
            sent: state.position(state.sent()).to_string(),
            messages: state.messages,
            per_minute: Traffic { sent: per_minute(sent), received: per_minute(received) },
        }
    }

    /// Whether the client has no WebSocket, so that it says nothing by itself and sends by requests.
    pub(super) fn is_http(&self) -> bool {
        self.socket.is_http()
    }

    /// Makes its name known: to the client of an event stream, and in the access log, if it is logged.
    pub(super) fn introduce(&self, name: impl Fn() -> ConnectionName) {
        if let Some(mut events) = self.socket.events() {
            events.introduce(&name());
        }
        let state = self.state();
        let consumer = &state.principal().consumer;
        state.common.access_log.write_beginning(self.id, name, consumer, (self.from, self.form()));
    }

    /// Writes the last one, at this time in seconds since 1970.
    pub(super) fn log_ending(&self, state: &State, now: u64, name: impl FnOnce() -> ConnectionName) {
        let seconds = now.saturating_sub(self.since.into());
        let (consumer, of_it) = (&state.principal().consumer, (self.from, seconds, state.messages));
        state.common.access_log.write_ending(self.id, name, consumer, of_it);
    }

    pub(super) fn form(&self) -> Form {
        self.shape.form
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.shape.is_compressed
    }

    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Closes the socket, even if a task still works for the connection.
    pub(super) fn abort(&self) {
        self.socket.abort();
    }

    /// Reads from the socket; `None` when nothing had come, `Some(0)` at the end of the stream.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        let read = self.socket.read(buffer);
        if self.socket.is_unsent() {
            self.flush();
        }
        let mut state = self.state();
        match read {
            Ok((count, is_drained)) => {
                if state.unread == Unread::Something && is_drained {
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

    /// Sends a Close, which the client may answer for a moment; nothing else counts from here on.
    pub(super) fn close(&self, state: &mut State, code: CloseCode, reason: &str, now: Instant) {
        state.close(code, reason, now);
        self.flush_now(state);
    }

    pub(super) fn flush(&self) {
        self.flush_now(&mut self.state());
    }

    /// Begins to fetch from memory what a flush needs, while the connection before is written to.
    pub(super) fn prefetch(&self) {
        std::hint::black_box(self.state.try_borrow().is_ok_and(|state| state.blocked));
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush_now(&self, state: &mut State) {
        if state.blocked || state.is_closed() {
            return;
        }
        let (is_last, before) = (state.is_closing(), state.queue.bytes());
        let sent = self.socket.send(&mut state.queue, is_last);
        let taken = before.saturating_sub(state.queue.bytes());
        state.common.figures.count(Counted::SentBytes, taken as u64);
        match sent {
            Ok(Flushed::All) => {
                // The next step may have been waiting for just this.
                if !state.is_live() || state.is_held_back {
                    state.wake();
                }
            }
            Ok(Flushed::Blocked) => {
                state.blocked = true;
            }
            Ok(Flushed::Complete) => self.complete_page(state),
            Err(_) => state.end(),
        }
    }

    /// Queues a control message, which plain clients do not receive.
    fn notify(&self, state: &mut State, message: &ServerMessage<'_>, now: OffsetDateTime) {
        if self.form() == Form::Sequenced {
            state.send_text(&message.to_json(now));
        }
    }
}
