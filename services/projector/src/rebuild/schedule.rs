//! Schedule of a rebuild: what it may queue beside live projecting, and when it is done. Pure.
//!
//! A rebuild stays behind live projecting: it does not queue the envelopes of an event that live projecting has
//! not read yet. So when everything up to there is queued, and no event of the tenant lies between, one step switches,
//! and each event is projected exactly once.

use tidings_model::Position;

#[derive(Debug)]
pub(crate) struct Schedule {
    /// The largest number of its envelopes in the queue.
    share: usize,
    in_line: usize,
    /// Whether the tenant's last event has been determined.
    knows_last: bool,
    /// The tenant's last event in `EVENTS` at that time, if it has any.
    last: Option<Position>,
    /// The tenant's newest event that live projecting has read since.
    read: Option<Position>,
    /// Every event of the tenant up to this one is projected again or queued.
    passed: Option<Position>,
}

impl Schedule {
    pub(crate) fn new(share: usize) -> Self {
        Self { share: share.max(1), in_line: 0, knows_last: false, last: None, read: None, passed: None }
    }

    /// Whether the envelopes of this event, or a copied one, may be queued, where live projecting is at `live`.
    pub(crate) fn may_take(&self, event: Option<Position>, live: Position) -> bool {
        self.in_line < self.share && event.is_none_or(|event| live.is_at_or_behind(event))
    }

    /// Notes that envelopes of this event, or copied ones, were queued.
    pub(crate) fn take(&mut self, event: Option<Position>, envelopes: usize) {
        self.in_line += envelopes;
        self.pass(event);
    }

    /// Notes that one of the envelopes was stored.
    pub(crate) fn confirm(&mut self) {
        self.in_line = self.in_line.saturating_sub(1);
    }

    /// Notes that every event up to `passed` is projected, and which event of the tenant is the last one.
    pub(crate) fn reach(&mut self, passed: Position, last: Option<Position>) {
        (self.knows_last, self.last) = (true, last);
        self.pass(Some(passed));
    }

    /// Notes that live projecting has read an event of the tenant.
    pub(crate) fn read(&mut self, event: Position) {
        self.read = Some(event);
    }

    pub(crate) fn in_line(&self) -> usize {
        self.in_line
    }

    /// Whether the rebuild has projected all that live projecting has read, and live projecting has read all that the
    /// rebuild has projected.
    pub(crate) fn is_done(&self, live: Position) -> bool {
        let is_passed = |event| self.passed.is_some_and(|passed| passed.is_at_or_behind(event));
        let mut events = self.last.into_iter().chain(self.read);
        self.knows_last && events.all(|event| live.is_at_or_behind(event) && is_passed(event))
    }

    fn pass(&mut self, event: Option<Position>) {
        if let Some(event) = event
            && self.passed.is_none_or(|passed| event.is_at_or_behind(passed))
        {
            self.passed = Some(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidings_model::Epoch;

    use super::*;

    fn at(sequence: u64) -> Position {
        Position { epoch: Epoch(1), sequence }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// An event is published, by the tenant or by another one.
        Publish(bool),
        /// Live projecting reads an event.
        Read,
        /// An event is projected again, and waits to be queued.
        Make,
        /// The tenant's last event is determined.
        Ask,
        Put,
        Store,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            prop::bool::ANY.prop_map(Step::Publish),
            Just(Step::Read),
            Just(Step::Make),
            Just(Step::Ask),
            Just(Step::Put),
            Just(Step::Store),
        ];
        prop::collection::vec(step, 0..300)
    }

    /// What waits to be queued.
    enum Made {
        Event(u64),
        Reached { passed: u64, last: Option<u64> },
    }

    proptest! {
        /// Wherever the rebuild switches, it has projected each event of the tenant up to the live reader's position,
        /// and none behind it. When nothing moves any more, it switches.
        #[test]
        fn it_changes_over_between_two_events(steps in steps(), copied in 0..5_u64) {
            let mut course = Schedule::new(3);
            // Events up to this one were copied, whether or not live projecting has read them.
            let mut events: Vec<bool> = (0..copied).map(|_| true).collect();
            let (mut live, mut making) = (0, copied);
            let mut waiting = std::collections::VecDeque::new();
            let mut made: Vec<u64> = (1..=copied).collect();
            let settle = [Step::Ask, Step::Make, Step::Read, Step::Put, Step::Store];
            let rest = std::iter::repeat_n(settle, 700).flatten();
            for step in steps.into_iter().chain(rest) {
                let of_tenant = |sequence: u64| events[usize::try_from(sequence).unwrap() - 1];
                let end = u64::try_from(events.len()).unwrap();
                match step {
                    Step::Publish(is_of_tenant) => events.push(is_of_tenant),
                    Step::Read if live < end => {
                        live += 1;
                        if of_tenant(live) {
                            course.read(at(live));
                        }
                    }
                    Step::Make if making < end => {
                        making += 1;
                        if of_tenant(making) {
                            waiting.push_back(Made::Event(making));
                        }
                    }
                    Step::Ask => {
                        let last = (1..=end).rev().find(|sequence| of_tenant(*sequence));
                        waiting.push_back(Made::Reached { passed: making, last });
                    }
                    Step::Put => match waiting.front() {
                        Some(Made::Event(event)) if course.may_take(Some(at(*event)), at(live)) => {
                            course.take(Some(at(*event)), 1);
                            made.push(*event);
                            waiting.pop_front();
                        }
                        Some(Made::Reached { passed, last }) => {
                            course.reach(at(*passed), last.map(at));
                            waiting.pop_front();
                        }
                        _ => {}
                    },
                    Step::Store => course.confirm(),
                    _ => {}
                }
                prop_assert!(course.in_line() <= 3);
                if course.is_done(at(live)) {
                    break;
                }
            }
            prop_assert!(course.is_done(at(live)), "it never ends");
            let expected = (1..).zip(&events).filter(|(sequence, of_tenant)| **of_tenant && *sequence <= live);
            prop_assert_eq!(made, expected.map(|(sequence, _)| sequence).collect::<Vec<u64>>());
        }
    }
}
