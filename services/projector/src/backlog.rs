//! What has been read and is not yet done, in the order of the events. Pure.
//!
//! Envelopes are sent in this order and confirmed in this order, and an event leaves from the
//! front only. So whatever fails, what is left here is exactly what still has to happen.

use std::collections::VecDeque;

use tidings_model::Envelope;

/// Events under way. `T` is what has to happen once an event is done; a late envelope, whose event was done
/// before, has an entry of its own.
pub(crate) struct Backlog<T> {
    entries: VecDeque<Entry<T>>,
    /// The envelopes of all entries together.
    envelopes: usize,
    /// The entry that is being sent, and how many of its envelopes were.
    sending: usize,
    sent: usize,
}

struct Entry<T> {
    event: T,
    /// Those that are not confirmed yet.
    envelopes: VecDeque<Envelope>,
}

impl<T> Backlog<T> {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), envelopes: 0, sending: 0, sent: 0 }
    }

    /// Events or envelopes under way, whichever are more.
    pub(crate) fn len(&self) -> usize {
        self.entries.len().max(self.envelopes)
    }

    pub(crate) fn push(&mut self, event: T, envelopes: Vec<Envelope>) {
        self.envelopes += envelopes.len();
        self.entries.push_back(Entry { event, envelopes: envelopes.into() });
    }

    /// The first envelope that has not been sent, and its entry.
    pub(crate) fn unsent(&mut self) -> Option<(&T, &Envelope)> {
        while self.entries.get(self.sending)?.envelopes.len() <= self.sent {
            (self.sending, self.sent) = (self.sending + 1, 0);
        }
        let entry = self.entries.get(self.sending)?;
        Some((&entry.event, entry.envelopes.get(self.sent)?))
    }

    /// The envelope that [`Backlog::unsent`] named has been sent.
    pub(crate) fn mark_sent(&mut self) {
        self.sent += 1;
    }

    /// The first envelope that was sent has been stored.
    pub(crate) fn confirm(&mut self) {
        let waiting = self.entries.iter_mut().enumerate().find(|(_, entry)| !entry.envelopes.is_empty());
        if let Some((index, entry)) = waiting {
            entry.envelopes.pop_front();
            self.envelopes -= 1;
            if index == self.sending {
                self.sent -= 1;
            }
        }
    }

    /// The first event, if nothing of it is left to store.
    pub(crate) fn pop_done(&mut self) -> Option<T> {
        if !self.entries.front()?.envelopes.is_empty() {
            return None;
        }
        self.sending = self.sending.saturating_sub(1);
        self.entries.pop_front().map(|entry| entry.event)
    }

    /// Every envelope that is not confirmed, in order.
    pub(crate) fn envelopes(&self) -> impl Iterator<Item = &Envelope> {
        self.entries.iter().flat_map(|entry| &entry.envelopes)
    }

    /// Nothing that was sent counts any more: what is not wanted is done, the rest has to be sent
    /// again.
    pub(crate) fn rewind(&mut self, wanted: impl Fn(&T, &Envelope) -> bool) {
        (self.sending, self.sent) = (0, 0);
        for Entry { event, envelopes } in &mut self.entries {
            envelopes.retain(|envelope| wanted(event, envelope));
        }
        self.envelopes = self.entries.iter().map(|entry| entry.envelopes.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidings_model::{Attributes, EnvelopeSubject, Epoch, Origin, Position};

    use super::*;

    fn envelope(sequence: u64, part: u32) -> Envelope {
        Envelope {
            subject: EnvelopeSubject::parse("envelopes.t.durable.all.-.note.-").unwrap().0,
            event_id: String::new(),
            event_source: None,
            origin: Origin { event: Position { epoch: Epoch(1), sequence }, message: 0, part },
            attributes: Attributes::new(),
            expires_at: None,
            trace_parent: None,
            body: bytes::Bytes::new(),
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u32),
        Send,
        Confirm,
        /// Everything that was sent is lost, but for the first so many that arrived.
        Rewind(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4_u32).prop_map(Step::Push),
            Just(Step::Send),
            Just(Step::Send),
            Just(Step::Confirm),
            (0..6_usize).prop_map(Step::Rewind),
        ]
    }

    proptest! {
        /// The stream ends up with every envelope once, in order, and an event is done when, and
        /// as soon as, its own are and those of all events before it.
        #[test]
        fn whatever_fails_everything_is_stored_once_and_in_order(steps in prop::collection::vec(step(), 0..200)) {
            let mut backlog = Backlog::new();
            let (mut pushed, mut stored, mut done) = (Vec::new(), Vec::new(), 0);
            let mut under_way: VecDeque<Origin> = VecDeque::new();
            let mut next = 1;
            for step in steps {
                match step {
                    Step::Push(parts) => {
                        let envelopes: Vec<_> = (0..parts).map(|part| envelope(next, part)).collect();
                        pushed.extend(envelopes.iter().map(|envelope| envelope.origin));
                        backlog.push(next, envelopes);
                        next += 1;
                    }
                    Step::Send => {
                        if let Some((_, envelope)) = backlog.unsent() {
                            under_way.push_back(envelope.origin);
                            backlog.mark_sent();
                        }
                    }
                    Step::Confirm => {
                        if let Some(origin) = under_way.pop_front() {
                            stored.push(origin);
                            backlog.confirm();
                        }
                    }
                    Step::Rewind(arrived) => {
                        stored.extend(under_way.drain(..arrived.min(under_way.len())));
                        under_way.clear();
                        backlog.rewind(|_, envelope| !stored.contains(&envelope.origin));
                    }
                }
                while let Some(event) = backlog.pop_done() {
                    done += 1;
                    prop_assert_eq!(event, done);
                }
                prop_assert_eq!(&pushed[..stored.len()], &stored[..]);
                let first_open = pushed.get(stored.len()).map_or(next, |origin| origin.event.sequence);
                prop_assert_eq!(done + 1, first_open);
                let open = usize::try_from(next - 1 - done).unwrap();
                prop_assert_eq!(backlog.len(), open.max(pushed.len() - stored.len()));
            }
        }
    }
}
