//! What has been read and is not yet done, in the order of the events. Pure.
//!
//! Envelopes are sent in this order and confirmed in this order, and an event leaves from the
//! front only. So whatever fails, what is left here is exactly what still has to happen.

use std::collections::VecDeque;

use tidings_model::{Envelope, Origin};

/// Events under way. `T` is what has to happen once an event is done.
pub(crate) struct Backlog<T> {
    entries: VecDeque<Entry<T>>,
    /// Envelopes sent and not confirmed; they are the first that are left.
    sent: usize,
}

struct Entry<T> {
    event: T,
    /// Those that are not confirmed yet.
    envelopes: VecDeque<Envelope>,
}

impl<T> Backlog<T> {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), sent: 0 }
    }

    /// The number of events under way.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn push(&mut self, event: T, envelopes: Vec<Envelope>) {
        self.entries.push_back(Entry { event, envelopes: envelopes.into() });
    }

    /// The first envelope that has not been sent.
    pub(crate) fn unsent(&self) -> Option<&Envelope> {
        let mut skip = self.sent;
        for entry in &self.entries {
            match entry.envelopes.get(skip) {
                Some(envelope) => return Some(envelope),
                None => skip -= entry.envelopes.len(),
            }
        }
        None
    }

    /// The envelope that [`Backlog::unsent`] named has been sent.
    pub(crate) fn mark_sent(&mut self) {
        self.sent += 1;
    }

    /// The first envelope that was sent has been stored.
    pub(crate) fn confirm(&mut self) {
        let waiting = self.entries.iter_mut().find(|entry| !entry.envelopes.is_empty());
        if let Some(entry) = waiting {
            entry.envelopes.pop_front();
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// The first event, if nothing of it is left to store.
    pub(crate) fn pop_done(&mut self) -> Option<T> {
        let done = self.entries.front().is_some_and(|entry| entry.envelopes.is_empty());
        if done { self.entries.pop_front().map(|entry| entry.event) } else { None }
    }

    /// Nothing that was sent counts any more: what the stream does not want is done, the rest has
    /// to be sent again.
    pub(crate) fn rewind(&mut self, wants: impl Fn(Origin) -> bool) {
        self.sent = 0;
        for entry in &mut self.entries {
            entry.envelopes.retain(|envelope| wants(envelope.origin));
        }
    }
}
