//! A waiting event, between the queue that accepts it and the task that stores it.

use tidings_streams::OutgoingEvent;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// The sequence, or why NATS refuses the event permanently.
pub(crate) type Answer = Result<u64, String>;

/// A waiting event.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) event: OutgoingEvent,
    pub(crate) answer: oneshot::Sender<Answer>,
    _slot: OwnedSemaphorePermit,
}

impl Entry {
    pub(crate) fn new(
        id: String,
        event: OutgoingEvent,
        answer: oneshot::Sender<Answer>,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self { id, event, answer, _slot: slot }
    }
}
