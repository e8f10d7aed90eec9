//! Which events that were due count in a replay, and where events are read back: the same as [`tidings_streams::Schedules`]
//! decides, from the events alone. Pure.

use std::collections::HashMap;

use tidings_model::{Event, Position};

/// The last event of each name, source and id that scheduled, cancelled or was due.
#[derive(Debug, Default)]
pub(super) struct ScheduleMemory(HashMap<u128, Last>);

#[derive(Debug)]
struct Last {
    /// The position of the event that scheduled or cancelled.
    by: Position,
    is_due: bool,
}

impl ScheduleMemory {
    /// Notes an event. `false` if it was due and does not count: it was replaced or cancelled before, or is there twice.
    pub(super) fn passes(&mut self, key: u128, event: &Event) -> bool {
        if event.delivery.is_some() {
            self.set(key, event);
        }
        event.scheduled.is_none_or(|by| self.counts(key, by))
    }

    /// Notes an event that schedules or cancels.
    fn set(&mut self, key: u128, event: &Event) {
        self.0.insert(key, Last { by: event.position, is_due: false });
    }

    /// Whether an event that was scheduled by another one counts; each counts once.
    fn counts(&mut self, key: u128, by: Position) -> bool {
        match self.0.get(&key) {
            Some(last) if last.by == by && last.is_due => return false,
            Some(last) if last.by != by && last.by.is_at_or_behind(by) => return false,
            _ => {}
        }
        self.0.insert(key, Last { by, is_due: true });
        true
    }
}

#[cfg(test)]
mod tests {
    use tidings_model::Epoch;

    use super::*;

    #[test]
    fn what_was_replaced_or_is_there_twice_does_not_count() {
        let at = |sequence| Position { epoch: Epoch(1), sequence };
        let tenant = tidings_model::Tenant::parse("ops").unwrap();
        let name = tidings_model::EventName::parse("note.added").unwrap();
        let mut memory = ScheduleMemory::default();
        let set = |memory: &mut ScheduleMemory, key, sequence| {
            let now = time::OffsetDateTime::UNIX_EPOCH;
            let mut raw = tidings_model::Delivery::cancellation(&tenant, &name, None, "1", now);
            raw.position = at(sequence);
            memory.set(key, &raw.read().unwrap());
        };
        assert!(memory.counts(1, at(3)), "its schedule may not be retained any more");
        assert!(!memory.counts(1, at(3)));
        set(&mut memory, 1, 5);
        set(&mut memory, 2, 6);
        assert!(!memory.counts(1, at(4)));
        assert!(memory.counts(1, at(5)));
        assert!(!memory.counts(1, at(5)));
        assert!(!memory.counts(2, at(2)));
        assert!(memory.counts(1, at(7)));
    }
}
