//! A client's requests that are not answered yet: they wait for JetStream, for the store of consumers, or until the client
//! has read earlier answers. Each kind is bounded.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use tidings_model::Epoch;
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_replica::{DigestFrame, FramedEnvelope};
use tidings_session::{LatestRequest, SubscriptionChange};
use tokio::sync::mpsc;
use tokio::time::Instant;

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
    pub(super) stream_replay: Option<Box<StreamReplay>>,
    /// The connection is not live before its worker is there: what was routed before was routed past the worker.
    pub(super) live_from: u64,
    /// When a connection of a tenant with digests is given something next.
    pub(super) paced_until: Option<Instant>,
    /// What a replay joins, and the life of the stream that it is of.
    pub(super) collected: Option<Box<(Epoch, DigestFrame)>>,
    /// Bytes that were read and not parsed: no more than one read takes.
    pub(super) unparsed: Vec<u8>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        let is_idle = self.publishes.is_idle() && self.latest.is_idle() && self.confirmations.is_idle();
        let is_read = self.stream_replay.is_none() && self.unparsed.is_empty();
        let is_paced = self.paced_until.is_some() || self.collected.is_some();
        is_idle && is_read && !is_paced && self.authentications == 0 && self.live_from == 0
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

    pub(super) fn is_due(&self) -> bool {
        !self.in_progress && !self.waiting.is_empty()
    }

    fn is_idle(&self) -> bool {
        !self.in_progress && self.waiting.is_empty()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What happens to the requests of one kind.
    #[derive(Debug, Clone, Copy)]
    enum Happens {
        /// A client sends a request, and a task is started unless there is one.
        Arrives,
        /// The task has answered a request and takes the next one.
        Next,
        /// The task takes all that wait.
        TakeAll,
        /// The task ends early: the client has to read its answers first.
        Paused,
        /// The client has read; what waits is taken up.
        HasRead,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        use Happens::{Arrives, HasRead, Next, Paused, TakeAll};
        prop_oneof![4 => Just(Arrives), 4 => Just(Next), 1 => Just(TakeAll), 1 => Just(Paused), 1 => Just(HasRead)]
    }

    proptest! {
        /// Never two tasks, and never a request without one once the client has read.
        #[test]
        fn one_task_answers_all_in_their_order(steps in prop::collection::vec(happens(), 0..60)) {
            let (mut requests, mut arrived, mut answered) = (Requests::default(), 0, Vec::new());
            let (mut has_task, mut is_paused) = (false, false);
            for step in steps.into_iter().chain([Happens::HasRead]).chain([Happens::Next; 60]) {
                match step {
                    Happens::Arrives => {
                        requests.push(arrived);
                        arrived += 1;
                        if !is_paused && requests.start() {
                            prop_assert!(!has_task, "a second task");
                            has_task = true;
                        }
                    }
                    Happens::Next if has_task => match requests.next() {
                        Some(request) => answered.push(request),
                        None => has_task = false,
                    },
                    Happens::TakeAll if has_task => {
                        let all = requests.take_all();
                        has_task = !all.is_empty();
                        answered.extend(all);
                    }
                    Happens::Paused if has_task => {
                        requests.pause();
                        (has_task, is_paused) = (false, true);
                    }
                    Happens::HasRead => {
                        is_paused = false;
                        prop_assert_eq!(requests.is_due(), !has_task && answered.len() < arrived);
                        if requests.is_due() {
                            prop_assert!(requests.start());
                            has_task = true;
                        }
                    }
                    Happens::Next | Happens::TakeAll | Happens::Paused => {}
                }
                prop_assert_eq!(requests.len(), arrived - answered.len());
                prop_assert_eq!(requests.is_idle(), !has_task && requests.len() == 0);
            }
            prop_assert_eq!(answered, (0..arrived).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn what_has_no_room_is_found_again_and_nothing_before_it() {
        let (sender, found) = mpsc::channel(4);
        let envelope = |sequence| {
            let address = tidings_model::Address::new("user", "ada").unwrap();
            crate::worker::example::envelope((sequence, 0), &address, "{}")
        };
        for sequence in [5, 6] {
            sender.try_send(Found::Envelope(envelope(sequence))).ok().unwrap();
        }
        sender.try_send(Found::Through(9)).ok().unwrap();
        drop(sender);
        let mut replay = StreamReplay::new(found);
        let mut seen = Vec::new();
        let mut is_full = true;
        while let Some(found) = replay.next().await {
            match found {
                Found::Envelope(framed) if std::mem::take(&mut is_full) => replay.put_back(framed),
                Found::Envelope(framed) => {
                    seen.push(framed.sequence());
                    is_full = framed.sequence() == 5;
                }
                Found::Through(sequence) => seen.push(sequence),
            }
        }
        assert_eq!(seen, [5, 6, 9]);
    }
}
