//! Memory of the events of one tenant that may be repeated. Pure.
//!
//! An event is a repetition if one with the same source and id was stored less than the window before. A repetition
//! counts as an occurrence, too, so it prolongs the window of its own id and of no other. A decision therefore
//! depends on the events of one window before, and on no clock: each projector that reads `EVENTS` from there decides
//! alike.
//!
//! A rejected event is not remembered: its id is free. An event that is read back to fill the memory may have been
//! rejected; it is [`Found::is_certain`] once that has been checked.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::fingerprint::Occurrence;

/// The largest number of events remembered per tenant, the newest ones: 2,000 a second in two minutes. Each takes
/// about 200 bytes.
pub(crate) const MAX_REMEMBERED: usize = 1 << 18;

#[derive(Debug)]
pub(crate) struct Memory {
    window: Duration,
    bound: usize,
    entries: HashMap<u128, Entry>,
    /// Every remembered occurrence, oldest first.
    in_order: VecDeque<(u128, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    last: Occurrence,
    /// Whether the event is known not to have been rejected.
    is_certain: bool,
}

/// An earlier event with the same source and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) last: Occurrence,
    /// Whether its content is the same.
    pub(crate) is_same: bool,
    /// Whether it is known not to have been rejected.
    pub(crate) is_certain: bool,
}

impl Memory {
    pub(crate) fn new(window: Duration) -> Self {
        Self::bounded(window, MAX_REMEMBERED)
    }

    fn bounded(window: Duration, bound: usize) -> Self {
        Self { window, bound, entries: HashMap::new(), in_order: VecDeque::new() }
    }

    /// Finds the last event before this one with its source and id, within the window.
    pub(crate) fn find(&self, occurrence: &Occurrence) -> Option<Found> {
        let Entry { last, is_certain } = *self.entries.get(&occurrence.identity)?;
        let is_past = last.stored_at + self.window <= occurrence.stored_at;
        // An event is retried because it was rejected before.
        let is_retried = last.first == occurrence.first && last.attempts < occurrence.attempts;
        if is_past || (is_retried && !is_certain) {
            return None;
        }
        Some(Found { last, is_same: last.content == occurrence.content, is_certain })
    }

    /// Remembers an event that was accepted, or that repeats an accepted one. `is_certain`: it was not rejected.
    pub(crate) fn remember(&mut self, occurrence: Occurrence, is_certain: bool) {
        let Occurrence { identity, sequence, stored_at, .. } = occurrence;
        self.entries.insert(identity, Entry { last: occurrence, is_certain });
        self.in_order.push_back((identity, sequence));
        while let Some((identity, sequence)) = self.in_order.front() {
            let entry = self.entries.get(identity).filter(|entry| entry.last.sequence == *sequence);
            let is_past = entry.is_none_or(|entry| entry.last.stored_at + self.window <= stored_at);
            if !is_past && self.in_order.len() <= self.bound {
                break;
            }
            if entry.is_some() {
                self.entries.remove(identity);
            }
            self.in_order.pop_front();
        }
    }

    /// Marks the found event as not rejected.
    pub(crate) fn confirm(&mut self, found: &Found) {
        if let Some(entry) = self.entries.get_mut(&found.last.identity) {
            entry.is_certain = true;
        }
    }

    /// Removes the found event: it was rejected.
    pub(crate) fn free(&mut self, found: &Found) {
        self.entries.remove(&found.last.identity);
    }

    /// Removes the event with this sequence: it was rejected after it was remembered.
    pub(crate) fn forget(&mut self, sequence: u64) {
        self.entries.retain(|_, entry| entry.last.sequence != sequence);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use tidings_model::{Epoch, Position};
    use time::OffsetDateTime;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn at(sequence: u64, seconds: u64, identity: u128, content: u64) -> Occurrence {
        Occurrence {
            identity,
            content,
            stored_at: OffsetDateTime::UNIX_EPOCH + Duration::from_secs(seconds),
            sequence,
            first: Position { epoch: Epoch(1), sequence },
            attempts: 1,
        }
    }

    /// The decision about an event.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Verdict {
        New,
        Repetition,
        Reused,
        /// Rejected for a reason of its own.
        Rejected,
    }

    /// Decides as a projector does; `rejected` stands for `REJECTED`.
    fn decide(memory: &mut Memory, event: &Occurrence, is_good: bool, rejected: &BTreeSet<u64>) -> Verdict {
        let mut found = memory.find(event);
        if let Some(uncertain) = found.filter(|found| !found.is_certain) {
            if rejected.contains(&uncertain.last.sequence) {
                memory.free(&uncertain);
                found = None;
            } else {
                memory.confirm(&uncertain);
            }
        }
        match found {
            Some(found) if found.is_same => {
                memory.remember(*event, true);
                Verdict::Repetition
            }
            Some(_) => Verdict::Reused,
            None if is_good => {
                memory.remember(*event, true);
                Verdict::New
            }
            None => Verdict::Rejected,
        }
    }

    /// Reads an event back as a projector that takes over does.
    fn read_back(memory: &mut Memory, event: &Occurrence, rejected: &BTreeSet<u64>) {
        match memory.find(event) {
            Some(found) if !found.is_same && !rejected.contains(&found.last.sequence) => {
                memory.confirm(&found);
            }
            found => memory.remember(*event, found.is_some_and(|found| found.is_same && found.is_certain)),
        }
    }

    fn events() -> impl Strategy<Value = Vec<(Occurrence, bool)>> {
        let event = (0..6_u64, 0..4_u128, 0..3_u64, prop::bool::weighted(0.8));
        prop::collection::vec(event, 1..120).prop_map(|events| {
            let mut seconds = 0;
            let placed = (1..).zip(events).map(|(sequence, (pause, identity, content, is_good))| {
                seconds += pause;
                (at(sequence, seconds, identity, content), is_good)
            });
            placed.collect()
        })
    }

    proptest! {
        /// Each decision depends on the events of the window before, and on nothing else.
        #[test]
        fn like_looking_at_all_events(events in events()) {
            let (mut memory, mut rejected) = (Memory::new(WINDOW), BTreeSet::new());
            let mut kept: Vec<Occurrence> = Vec::new();
            for (event, is_good) in &events {
                let before = kept.iter().rev().find(|kept| {
                    kept.identity == event.identity && kept.stored_at + WINDOW > event.stored_at
                });
                let expected = match before {
                    Some(before) if before.content == event.content => Verdict::Repetition,
                    Some(_) => Verdict::Reused,
                    None if *is_good => Verdict::New,
                    None => Verdict::Rejected,
                };
                prop_assert_eq!(decide(&mut memory, event, *is_good, &rejected), expected);
                match expected {
                    Verdict::New | Verdict::Repetition => kept.push(*event),
                    _ => { rejected.insert(event.sequence); }
                }
            }
        }

        /// A projector that takes over anywhere and reads back one window decides as one that read everything.
        #[test]
        fn whoever_takes_over_decides_alike(events in events(), start in 0..120_usize) {
            let (mut memory, mut rejected) = (Memory::new(WINDOW), BTreeSet::new());
            let start = start.min(events.len() - 1);
            let mut decided = Vec::new();
            for (event, is_good) in &events {
                let verdict = decide(&mut memory, event, *is_good, &rejected);
                if matches!(verdict, Verdict::Reused | Verdict::Rejected) {
                    rejected.insert(event.sequence);
                }
                decided.push(verdict);
            }
            let (before, after) = events.split_at(start);
            // The fate of these is known when the others are decided.
            let mut rejected: BTreeSet<_> =
                rejected.into_iter().filter(|sequence| *sequence < after[0].0.sequence).collect();
            let since = after[0].0.stored_at - WINDOW;
            let mut memory = Memory::new(WINDOW);
            for (event, _) in before.iter().filter(|(event, _)| event.stored_at >= since) {
                read_back(&mut memory, event, &rejected);
            }
            for ((event, is_good), expected) in after.iter().zip(&decided[start..]) {
                let verdict = decide(&mut memory, event, *is_good, &rejected);
                prop_assert_eq!(verdict, *expected, "{:?}", event);
                if matches!(verdict, Verdict::Reused | Verdict::Rejected) {
                    rejected.insert(event.sequence);
                }
            }
        }

        /// Memory is bounded; the newest events stay in it.
        #[test]
        fn no_more_is_remembered_than_the_bound(events in events(), bound in 1..6_usize) {
            let mut memory = Memory::bounded(WINDOW, bound);
            for (event, _) in &events {
                memory.remember(*event, true);
                prop_assert!(memory.entries.len() <= bound && memory.in_order.len() <= bound);
                prop_assert!(memory.entries.contains_key(&event.identity), "the youngest is there");
            }
        }
    }

    #[test]
    fn what_is_past_is_forgotten() {
        let mut memory = Memory::new(WINDOW);
        memory.remember(at(1, 0, 1, 1), true);
        memory.remember(at(2, 5, 2, 1), true);
        assert!(memory.find(&at(3, 9, 1, 1)).is_some() && memory.find(&at(3, 10, 1, 1)).is_none());
        memory.remember(at(3, 12, 3, 1), true);
        assert_eq!((memory.entries.len(), memory.in_order.len()), (2, 2));
    }

    #[test]
    fn a_retried_event_is_no_repetition_of_its_rejected_self_but_of_another_retry() {
        let mut memory = Memory::new(WINDOW);
        let original = at(1, 0, 1, 1);
        let retry = |sequence| Occurrence { sequence, attempts: 2, ..original };
        // Read back, and retried since, so `REJECTED` no longer has it.
        memory.remember(original, false);
        assert_eq!(memory.find(&retry(2)), None);
        memory.remember(retry(2), true);
        assert!(memory.find(&retry(3)).is_some_and(|found| found.is_same && found.is_certain));
        memory.forget(2);
        assert_eq!(memory.find(&retry(3)), None, "what was rejected later is free, too");
    }
}
