//! A client's requests and the answers to them. Requests that are not answered yet wait for JetStream, for the store of
//! consumers, or until the client has read earlier answers. Each kind is bounded.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::framing::{self, Inbound, Opcode};
use tidings_replica::FramedEnvelope;
use tidings_session::{LatestRequest, Principal, Session, SubscriptionChange};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{State, Unread};
use crate::limits::MessageBudget;

/// How many requests of one kind one connection may have waiting, beside the one in progress.
pub(in crate::worker) const MAX_PENDING: usize = 8;
/// How many confirmations may wait: all that wait are answered by one save.
pub(in crate::worker) const MAX_CONFIRMATIONS: usize = 64;

/// The pending requests of one connection; a connection without any has no memory for them.
#[derive(Default)]
pub(in crate::worker) struct Pending {
    /// Events that are stored one after the other, each with the answer that it comes to.
    pub(in crate::worker) publishes: Requests<LocalBoxFuture<'static, String>>,
    pub(in crate::worker) latest: Requests<LatestRequest>,
    pub(in crate::worker) confirmations: Requests<(SubscriptionChange, Option<MessageId>)>,
    /// Tokens whose issuers are being asked for keys.
    pub(in crate::worker) authentications: usize,
    /// The replay from the stream itself.
    stream_replay: Option<Box<StreamReplay>>,
    /// The connection is not live before its worker is there: what was routed before was routed past the worker.
    pub(super) live_from: u64,
    /// Bytes that were read and not parsed: no more than one read takes.
    unparsed: Vec<u8>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        let is_idle = self.publishes.is_idle() && self.latest.is_idle() && self.confirmations.is_idle();
        let is_read = self.stream_replay.is_none() && self.unparsed.is_empty();
        is_idle && is_read && self.authentications == 0 && self.live_from == 0
    }
}

/// Requests of one kind, answered one after the other by one task.
pub(in crate::worker) struct Requests<T> {
    waiting: VecDeque<T>,
    in_progress: bool,
}

impl<T> Default for Requests<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), in_progress: false }
    }
}

impl<T> Requests<T> {
    pub(in crate::worker) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(in crate::worker) fn push(&mut self, request: T) {
        self.waiting.push_back(request);
    }

    /// Whether a task has to be started, which then takes the requests.
    pub(in crate::worker) fn start(&mut self) -> bool {
        !std::mem::replace(&mut self.in_progress, true)
    }

    /// The next request; without one, the task is over.
    pub(in crate::worker) fn next(&mut self) -> Option<T> {
        let next = self.waiting.pop_front();
        self.in_progress = next.is_some();
        next
    }

    /// All requests that wait; without any, the task is over.
    pub(in crate::worker) fn take_all(&mut self) -> VecDeque<T> {
        self.in_progress = !self.waiting.is_empty();
        std::mem::take(&mut self.waiting)
    }

    /// The request in progress was answered, and the next one waits for its turn.
    pub(in crate::worker) fn pause(&mut self) {
        self.in_progress = false;
    }

    fn is_due(&self) -> bool {
        !self.in_progress && !self.waiting.is_empty()
    }

    fn is_idle(&self) -> bool {
        !self.in_progress && self.waiting.is_empty()
    }
}

impl State {
    pub(in crate::worker) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    pub(in crate::worker) fn principal(&self) -> &Principal {
        self.session.principal()
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

/// A replay from the stream itself, which a task reads.
pub(in crate::worker) struct StreamReplay {
    found: mpsc::Receiver<Found>,
    /// Read, and waiting for room.
    held: Option<Arc<FramedEnvelope>>,
}

/// What a replay finds. If it ends without [`Found::Through`], there may be more.
pub(in crate::worker) enum Found {
    Envelope(Arc<FramedEnvelope>),
    /// Nothing more is left up to here.
    Through(u64),
}

impl StreamReplay {
    pub(in crate::worker) fn new(found: mpsc::Receiver<Found>) -> Self {
        Self { found, held: None }
    }

    pub(in crate::worker) async fn next(&mut self) -> Option<Found> {
        match self.held.take() {
            Some(framed) => Some(Found::Envelope(framed)),
            None => self.found.recv().await,
        }
    }

    /// Has [`StreamReplay::next`] find this one again.
    pub(in crate::worker) fn put_back(&mut self, framed: Arc<FramedEnvelope>) {
        self.held = Some(framed);
    }
}

/// The answer to a request for which there is no room.
pub(in crate::worker) fn too_many(most: usize, what: &str) -> ErrorMessage {
    let text = format!("{most} messages are waiting to be {what}; await their answers first");
    ErrorMessage::new(ErrorCode::Unavailable, text)
}
