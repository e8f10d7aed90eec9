//! The write queue: what has been read and is not yet done, in the order of the events. Pure.
//!
//! Items are sent and confirmed in this order, and an event leaves from the front only. So after any failure, the
//! queue holds exactly what still has to be done.

pub(crate) mod entry;

use std::collections::VecDeque;

/// Queue of entries in progress. `T` is the event that is done with the entry, and `I` an item to be written. What is
/// written for no event, or later, has an entry of its own.
pub(crate) struct WriteQueue<T, I> {
    entries: VecDeque<Entry<T, I>>,
    /// The number of items in all entries.
    items: usize,
    /// The entry that is being sent, and the number of its sent items.
    sending: usize,
    sent: usize,
}

struct Entry<T, I> {
    event: T,
    /// The items that are not confirmed yet.
    items: VecDeque<I>,
}

impl<T, I> WriteQueue<T, I> {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), items: 0, sending: 0, sent: 0 }
    }

    /// The number of entries or of items, whichever is larger.
    pub(crate) fn len(&self) -> usize {
        self.entries.len().max(self.items)
    }

    pub(crate) fn push(&mut self, event: T, items: impl Into<VecDeque<I>>) {
        let items = items.into();
        self.items += items.len();
        self.entries.push_back(Entry { event, items });
    }

    /// The first unsent item, and its entry.
    pub(crate) fn unsent(&mut self) -> Option<(&T, &I)> {
        while self.entries.get(self.sending)?.items.len() <= self.sent {
            (self.sending, self.sent) = (self.sending + 1, 0);
        }
        let entry = self.entries.get(self.sending)?;
        Some((&entry.event, entry.items.get(self.sent)?))
    }

    /// Removes the item that [`WriteQueue::unsent`] returned: it cannot be sent.
    pub(crate) fn take_unsent(&mut self) -> Option<(&T, I)> {
        let entry = self.entries.get_mut(self.sending)?;
        let item = entry.items.remove(self.sent)?;
        self.items -= 1;
        Some((&entry.event, item))
    }

    /// Marks the item that [`WriteQueue::unsent`] returned as sent.
    pub(crate) fn mark_sent(&mut self) {
        self.sent += 1;
    }

    /// Confirms and returns the first sent item, with its event.
    pub(crate) fn confirm(&mut self) -> Option<(&T, I)> {
        let mut waiting = self.entries.iter_mut().enumerate();
        let (index, entry) = waiting.find(|(_, entry)| !entry.items.is_empty())?;
        let item = entry.items.pop_front()?;
        self.items -= 1;
        if index == self.sending {
            self.sent -= 1;
        }
        Some((&entry.event, item))
    }

    /// Removes the first event, if all of its items are confirmed.
    pub(crate) fn pop_done(&mut self) -> Option<T> {
        if !self.entries.front()?.items.is_empty() {
            return None;
        }
        self.sending = self.sending.saturating_sub(1);
        self.entries.pop_front().map(|entry| entry.event)
    }

    /// All unconfirmed items, in order.
    pub(crate) fn items(&self) -> impl Iterator<Item = &I> {
        self.entries.iter().flat_map(|entry| &entry.items)
    }

    /// Marks all items as unsent, and drops those that are not wanted.
    pub(crate) fn rewind(&mut self, wanted: impl Fn(&T, &I) -> bool) {
        (self.sending, self.sent) = (0, 0);
        for Entry { event, items } in &mut self.entries {
            items.retain(|item| wanted(event, item));
        }
        self.items = self.entries.iter().map(|entry| entry.items.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An event and a part of it.
    type Origin = (u64, u32);

    #[derive(Debug, Clone)]
    enum Step {
        Push(u32),
        Send,
        Confirm,
        /// Everything sent is lost, except this many that arrived first.
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
        /// The stream ends up with every envelope once, in order. An event is done as soon as its own envelopes and
        /// those of all events before it are stored.
        #[test]
        fn whatever_fails_everything_is_stored_once_and_in_order(steps in prop::collection::vec(step(), 0..200)) {
            let mut backlog = WriteQueue::new();
            let (mut pushed, mut stored, mut done) = (Vec::new(), Vec::new(), 0);
            let mut under_way: VecDeque<Origin> = VecDeque::new();
            let mut next = 1;
            for step in steps {
                match step {
                    Step::Push(parts) => {
                        let items: Vec<Origin> = (0..parts).map(|part| (next, part)).collect();
                        pushed.extend(&items);
                        backlog.push(next, items);
                        next += 1;
                    }
                    Step::Send => {
                        if let Some((_, item)) = backlog.unsent() {
                            under_way.push_back(*item);
                            backlog.mark_sent();
                        }
                    }
                    Step::Confirm => {
                        if let Some(origin) = under_way.pop_front() {
                            stored.push(origin);
                            prop_assert_eq!(backlog.confirm().map(|(_, item)| item), Some(origin));
                        }
                    }
                    Step::Rewind(arrived) => {
                        stored.extend(under_way.drain(..arrived.min(under_way.len())));
                        under_way.clear();
                        backlog.rewind(|_, item| !stored.contains(item));
                    }
                }
                while let Some(event) = backlog.pop_done() {
                    done += 1;
                    prop_assert_eq!(event, done);
                }
                prop_assert_eq!(&pushed[..stored.len()], &stored[..]);
                let first_open = pushed.get(stored.len()).map_or(next, |(event, _)| *event);
                prop_assert_eq!(done + 1, first_open);
                let open = usize::try_from(next - 1 - done).unwrap();
                prop_assert_eq!(backlog.len(), open.max(pushed.len() - stored.len()));
            }
        }
    }
}
