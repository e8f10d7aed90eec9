//! Requests that wait for their answers, in their order. Publications are under way one at a time, so that they are stored in
//! that order however often each has to be sent, and so are changes of topics, of which the last one counts. Pure, apart from
//! the channels that answers go by.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::error::RequestError;
use crate::requests::{Purpose, Request};

/// The most questions under way at a time: as many as a gateway takes.
const MOST_ASKED: usize = 8;
/// The most answers that may come although nobody waits for them any more.
const MOST_FORGOTTEN: usize = 64;
/// When to send again what the gateway could not serve, if it does not say.
const AGAIN: Duration = Duration::from_secs(1);

struct Waiting {
    request: Request,
    /// Whether it was sent on this connection.
    is_sent: bool,
    /// When it was sent for the first time.
    first_sent: Option<Instant>,
}

/// What waits, the oldest first.
pub(crate) struct Outbox {
    waiting: VecDeque<Waiting>,
    /// What was sent on this connection and is not awaited any more.
    forgotten: VecDeque<Value>,
    most: usize,
    /// For how long a repeated publication counts once.
    window: Duration,
    /// The gateway asks for a pause until then.
    paused_until: Option<Instant>,
}

impl Outbox {
    pub(crate) fn new(most: usize, window: Duration) -> Self {
        let (waiting, forgotten) = (VecDeque::new(), VecDeque::new());
        Self { waiting, forgotten, most, window, paused_until: None }
    }

    pub(crate) fn add(&mut self, request: Request, now: Instant) {
        self.sweep(now);
        if self.waiting.len() < self.most {
            self.waiting.push_back(Waiting { request, is_sent: false, first_sent: None });
        } else {
            // Nobody waits for it any more, if this fails; likewise below.
            _ = request.answer.send(Err(RequestError::OutboxFull(self.most)));
        }
    }

    /// A new connection knows nothing of what was sent on the last.
    pub(crate) fn connected(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| waiting.is_sent = false);
        self.forgotten.clear();
        self.paused_until = None;
    }

    /// When there is something to do, if nothing happens before.
    pub(crate) fn due(&self) -> Option<Instant> {
        let deadlines = self.waiting.iter().filter_map(|waiting| waiting.request.deadline);
        deadlines.chain(self.paused_until).min()
    }

    /// What to send now.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<String> {
        self.sweep(now);
        self.paused_until = self.paused_until.filter(|until| *until > now);
        if self.paused_until.is_some() {
            return Vec::new();
        }
        let mut texts = Vec::new();
        while let Some(next) = self.next() {
            next.is_sent = true;
            next.first_sent.get_or_insert(now);
            texts.push(next.request.text.clone());
        }
        texts
    }

    /// The oldest that may be sent besides what is under way.
    fn next(&mut self) -> Option<&mut Waiting> {
        let mut under_way = [0; LANES];
        for waiting in &self.waiting {
            under_way[lane(&waiting.request.purpose).0] += usize::from(waiting.is_sent);
        }
        self.waiting.iter_mut().find(|waiting| {
            let (lane, most) = lane(&waiting.request.purpose);
            !waiting.is_sent && under_way[lane] < most
        })
    }

    /// Ends what is not awaited any more, and what might count twice if it were sent again.
    fn sweep(&mut self, now: Instant) {
        let mut index = 0;
        while let Some(waiting) = self.waiting.get(index) {
            let is_late = waiting.request.deadline.is_some_and(|deadline| deadline <= now);
            let error = if is_late || waiting.request.answer.is_closed() {
                RequestError::Late
            } else if waiting.is_uncertain(now, self.window) {
                RequestError::Uncertain
            } else {
                index += 1;
                continue;
            };
            if let Some(ended) = self.remove(index) {
                if ended.is_sent {
                    self.forget(ended.request.id);
                }
                _ = ended.request.answer.send(Err(error));
            }
        }
    }

    fn remove(&mut self, index: usize) -> Option<Waiting> {
        self.waiting.remove(index)
    }

    fn forget(&mut self, id: Value) {
        if self.forgotten.len() == MOST_FORGOTTEN {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back(id);
    }

    /// The request with this id was carried out; returns what it was for. `None` if none waits for that.
    pub(crate) fn answered(&mut self, id: &Value, answer: String) -> Option<Purpose> {
        let Request { purpose, answer: to, .. } = self.remove(self.index(id)?)?.request;
        _ = to.send(Ok(answer));
        Some(purpose)
    }

    /// The request with this id was refused, which may pass. False if none waits for that.
    pub(crate) fn refused(
        &mut self,
        id: &Value,
        error: RequestError,
        retry_after: Option<Duration>,
        now: Instant,
    ) -> bool {
        let Some(index) = self.index(id) else { return false };
        let may_pass = matches!(&error, RequestError::Refused { code, .. } if passes(code));
        if may_pass {
            let until = now + retry_after.unwrap_or(AGAIN);
            self.paused_until = Some(self.paused_until.map_or(until, |paused| paused.max(until)));
            self.waiting[index].is_sent = false;
        } else if let Some(refused) = self.remove(index) {
            _ = refused.request.answer.send(Err(error));
        }
        true
    }

    /// Whether this is an answer that is not awaited any more. There is one for each.
    pub(crate) fn is_forgotten(&mut self, id: &Value) -> bool {
        let index = self.forgotten.iter().position(|forgotten| forgotten == id);
        index.and_then(|index| self.forgotten.remove(index)).is_some()
    }

    fn index(&self, id: &Value) -> Option<usize> {
        self.waiting.iter().position(|waiting| waiting.is_sent && waiting.request.id == *id)
    }
}

impl Waiting {
    /// Whether a repetition might count beside the first.
    fn is_uncertain(&self, now: Instant, window: Duration) -> bool {
        let is_stale = self.first_sent.is_some_and(|first| now.saturating_duration_since(first) > window);
        let may_count = matches!(self.request.purpose, Purpose::Publish | Purpose::Ask);
        may_count && !self.is_sent && is_stale
    }
}

const LANES: usize = 3;

/// What waits for each other, and how many of it may be under way.
fn lane(purpose: &Purpose) -> (usize, usize) {
    match purpose {
        Purpose::Publish => (0, 1),
        Purpose::Subscribe { .. } | Purpose::Unsubscribe { .. } => (1, 1),
        Purpose::Ask => (2, MOST_ASKED),
    }
}

/// Whether the same message may succeed later.
pub(crate) fn passes(code: &str) -> bool {
    matches!(code, "UNAVAILABLE" | "RATE_LIMITED" | "INTERNAL")
}

#[cfg(test)]
mod tests;
