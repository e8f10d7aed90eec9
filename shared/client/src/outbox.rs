//! Publications that wait for their answers. One is under way at a time, so that they are stored in their order however
//! often each has to be sent. Pure, apart from the channel that they come by.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::PublishError;

/// A message to publish, and who waits for its answer.
pub(crate) struct Publication {
    id: String,
    text: String,
    answer: oneshot::Sender<Result<String, PublishError>>,
    /// When it was sent for the first time.
    first_sent: Option<Instant>,
}

/// Publishes through a [`crate::Client`], which does so while it is asked for what happens next.
#[derive(Debug, Clone)]
pub struct Publisher {
    sender: mpsc::Sender<Publication>,
}

impl Publisher {
    pub(crate) fn new(most: usize) -> (Self, mpsc::Receiver<Publication>) {
        let (sender, receiver) = mpsc::channel(most.max(1));
        (Self { sender }, receiver)
    }

    /// Publishes a message as the tenant's catalog permits it, such as `{"action":"broadcast","data":{…}}`, and returns the
    /// id of its event when that is stored. Waits for a connection. An `id` that the message has counts once for its user;
    /// otherwise it is given one.
    pub async fn publish(&self, mut message: Map<String, Value>) -> Result<String, PublishError> {
        let given = message.get("id").and_then(Value::as_str).map(str::to_owned);
        let id = given.unwrap_or_else(|| Uuid::now_v7().to_string());
        message.insert("id".to_owned(), id.as_str().into());
        let (answer, answered) = oneshot::channel();
        let text = Value::Object(message).to_string();
        let publication = Publication { id, text, answer, first_sent: None };
        self.sender.send(publication).await.map_err(|_| PublishError::Ended)?;
        answered.await.map_err(|_| PublishError::Ended)?
    }
}

/// What waits, the oldest first.
pub(crate) struct Outbox {
    waiting: VecDeque<Publication>,
    most: usize,
    window: Duration,
    /// Whether the oldest was sent on this connection.
    is_sent: bool,
    /// The earliest time at which the oldest is sent again.
    not_before: Option<Instant>,
}

impl Outbox {
    pub(crate) fn new(most: usize, window: Duration) -> Self {
        Self { waiting: VecDeque::new(), most, window, is_sent: false, not_before: None }
    }

    pub(crate) fn add(&mut self, publication: Publication) {
        if self.waiting.len() >= self.most {
            // Nobody waits for it any more, if this fails.
            _ = publication.answer.send(Err(PublishError::OutboxFull(self.most)));
        } else {
            self.waiting.push_back(publication);
        }
    }

    /// A new connection knows nothing of what was sent on the last.
    pub(crate) fn connected(&mut self) {
        self.is_sent = false;
        self.not_before = None;
    }

    /// When there is something to send.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        (!self.is_sent && !self.waiting.is_empty()).then(|| self.not_before.unwrap_or(now))
    }

    /// The text to send now.
    pub(crate) fn take(&mut self, now: Instant) -> Option<String> {
        self.due(now).filter(|due| *due <= now)?;
        let is_stale = |one: &Publication| one.first_sent.is_some_and(|first| now - first > self.window);
        while self.waiting.front().is_some_and(is_stale) {
            if let Some(stale) = self.waiting.pop_front() {
                _ = stale.answer.send(Err(PublishError::Uncertain));
            }
        }
        let oldest = self.waiting.front_mut()?;
        oldest.first_sent.get_or_insert(now);
        self.is_sent = true;
        self.not_before = None;
        Some(oldest.text.clone())
    }

    /// The answer to the publication with this id; false if none waits for it.
    pub(crate) fn published(&mut self, id: &str, event: String) -> bool {
        self.answer(id, Ok(event))
    }

    /// A refusal, which may pass. False if it is not the oldest publication's.
    pub(crate) fn refused(&mut self, id: &str, error: PublishError, retry_at: Instant) -> bool {
        let may_pass = matches!(&error, PublishError::Refused { code, .. } if passes(code));
        if may_pass && self.waiting.front().is_some_and(|oldest| oldest.id == id) {
            self.is_sent = false;
            self.not_before = Some(retry_at);
            return true;
        }
        self.answer(id, Err(error))
    }

    fn answer(&mut self, id: &str, answer: Result<String, PublishError>) -> bool {
        if self.waiting.front().is_none_or(|oldest| oldest.id != id) {
            return false;
        }
        if let Some(oldest) = self.waiting.pop_front() {
            _ = oldest.answer.send(answer);
        }
        self.is_sent = false;
        self.not_before = None;
        true
    }
}

/// Whether the same message may succeed later.
pub(crate) fn passes(code: &str) -> bool {
    matches!(code, "UNAVAILABLE" | "RATE_LIMITED" | "INTERNAL")
}
