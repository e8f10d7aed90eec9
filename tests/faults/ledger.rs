//! What was acknowledged to the producers, and how long storing and delivering stood still.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What everybody agrees on. Messages of a line have the numbers 1, 2, 3 and so on, in the order of publication.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Entries>);

/// A line of messages: all to a user, or all of a topic, which has no user.
pub(crate) type Line = (String, String);

#[derive(Debug, Default)]
struct Entries {
    lines: BTreeMap<Line, Counts>,
    /// What NATS had when its stores were copied.
    copied: BTreeMap<Line, Counts>,
    /// How often NATS has come back with less than it had.
    rolled_back: u64,
    /// The last time that the stream of a tenant came back without what a device had received of it.
    shortened: BTreeMap<String, u64>,
    storing: Meter,
    delivering: Meter,
    /// How many faults have begun, and whether one of them lasts.
    faults: u64,
    is_failing: bool,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    begun: u64,
    stored: u64,
    /// The highest number that any device has received.
    delivered: u64,
    /// What was stored, and then NATS came back without it.
    forgotten: Vec<RangeInclusive<u64>>,
}

/// The longest time without a sign.
#[derive(Debug, Default)]
struct Meter {
    last: Option<Instant>,
    longest: Duration,
    signs: u64,
}

impl Meter {
    fn reset(&mut self) {
        *self = Self { last: Some(Instant::now()), ..Self::default() };
    }

    fn sign(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            self.longest = self.longest.max(now - last);
        }
        self.signs += 1;
    }
}

/// When something happened among the faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    faults: u64,
    is_failing: bool,
    rolled_back: u64,
}

/// What was lost of a line with the stream that it was in.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// By which roll-back.
    pub(crate) roll_back: u64,
    pub(crate) numbers: RangeInclusive<u64>,
}

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next message of a line, which is being published from now on.
    pub(crate) fn begin(&self, line: &Line) -> u64 {
        let mut entries = self.entries();
        let counts = entries.lines.entry(line.clone()).or_default();
        counts.begun += 1;
        counts.begun
    }

    /// The message of this number is stored.
    pub(crate) fn stored(&self, line: &Line, number: u64) {
        let mut entries = self.entries();
        entries.lines.entry(line.clone()).or_default().stored = number;
        entries.storing.sign();
    }

    /// A device has received the message of this number for the first time.
    pub(crate) fn delivered(&self, line: &Line, number: u64) {
        let mut entries = self.entries();
        entries.delivering.sign();
        let counts = entries.lines.entry(line.clone()).or_default();
        counts.delivered = counts.delivered.max(number);
    }

    /// What was lost of a line when the stream of its tenant came back last without what a device had of it.
    pub(crate) fn loss(&self, line: &Line) -> Option<Loss> {
        let entries = self.entries();
        let roll_back = *entries.shortened.get(&line.0)?;
        let numbers = entries.lines.get(line)?.forgotten.last()?.clone();
        Some(Loss { roll_back, numbers })
    }

    /// The number of the message that was published last, stored or not.
    pub(crate) fn begun(&self, line: &Line) -> u64 {
        self.entries().lines.get(line).map_or(0, |counts| counts.begun)
    }

    /// The number up to which everything of the line is stored.
    pub(crate) fn stored_of(&self, line: &Line) -> u64 {
        self.entries().lines.get(line).map_or(0, |counts| counts.stored)
    }

    /// Whether NATS may have come back without this message.
    pub(crate) fn is_forgotten(&self, line: &Line, number: u64) -> bool {
        let entries = self.entries();
        let forgotten = entries.lines.get(line).map_or(&[][..], |counts| &counts.forgotten);
        forgotten.iter().any(|numbers| numbers.contains(&number))
    }

    /// The stores of all servers, none of which runs, were copied.
    pub(crate) fn copied(&self) {
        let mut entries = self.entries();
        entries.copied = entries.lines.clone();
    }

    /// The copies are what NATS comes back with.
    pub(crate) fn rolled_back(&self) {
        let mut entries = self.entries();
        entries.rolled_back += 1;
        let Entries { lines, copied, rolled_back, shortened, .. } = &mut *entries;
        let copied = std::mem::take(copied);
        for (line, counts) in lines {
            let (kept, begun) = copied.get(line).map_or((0, 0), |counts| (counts.stored, counts.begun));
            if counts.begun > kept {
                counts.forgotten.push(kept + 1..=counts.begun);
            }
            // What was begun may be in the copy, too.
            if counts.delivered > begun {
                shortened.insert(line.0.clone(), *rolled_back);
            }
        }
    }

    /// How many messages were stored.
    pub(crate) fn total(&self) -> u64 {
        self.entries().lines.values().map(|counts| counts.stored).sum()
    }

    pub(crate) fn fault_begins(&self) {
        let mut entries = self.entries();
        entries.faults += 1;
        entries.is_failing = true;
        entries.storing.reset();
        entries.delivering.reset();
    }

    /// Nothing fails any more: what was seen up to now counts, and how often something is seen counts from now on.
    pub(crate) fn fault_ends(&self) {
        let mut entries = self.entries();
        (entries.storing.signs, entries.delivering.signs) = (0, 0);
    }

    /// Whether messages were stored and delivered since the fault has ended.
    pub(crate) fn goes_on(&self) -> Result<(), String> {
        let mut entries = self.entries();
        let (stored, delivered) = (entries.storing.signs, entries.delivering.signs);
        if stored < 20 || delivered < 20 {
            return Err(format!("{stored} stored and {delivered} delivered since the fault has ended"));
        }
        entries.is_failing = false;
        Ok(())
    }

    /// The longest time for which nothing was stored and nothing was delivered since the fault has begun.
    pub(crate) fn stood(&self) -> (Duration, Duration) {
        let entries = self.entries();
        (entries.storing.longest, entries.delivering.longest)
    }

    pub(crate) fn now(&self) -> Moment {
        let entries = self.entries();
        Moment { faults: entries.faults, is_failing: entries.is_failing, rolled_back: entries.rolled_back }
    }
}

impl Moment {
    /// Whether nothing failed from then until now.
    pub(crate) fn is_quiet_until(self, now: Self) -> bool {
        !self.is_failing && self.faults == now.faults
    }

    /// How often NATS had come back with less than it had.
    pub(crate) fn rolled_back(self) -> u64 {
        self.rolled_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_the_copy_is_forgotten() {
        let (ledger, line) = (Ledger::default(), (String::new(), String::new()));
        for number in 1..=4 {
            assert_eq!(ledger.begin(&line), number);
            ledger.stored(&line, number);
            if number == 2 {
                ledger.copied();
            }
        }
        ledger.rolled_back();
        ledger.begin(&line);
        let forgotten: Vec<u64> = (1..=5).filter(|number| ledger.is_forgotten(&line, *number)).collect();
        assert_eq!((forgotten, ledger.now().rolled_back()), (vec![3, 4], 1));
        assert!(ledger.loss(&line).is_none(), "nobody had received it");
    }

    #[test]
    fn a_stream_is_shortened_by_what_somebody_had_received() {
        for (delivered, is_shortened) in [(2, false), (3, true)] {
            let (ledger, line) = (Ledger::default(), ("lab".to_owned(), "u1".to_owned()));
            let other: Line = ("lab".to_owned(), "u2".to_owned());
            ledger.stored(&line, ledger.begin(&line));
            ledger.begin(&line);
            ledger.copied();
            for line in [&line, &other] {
                ledger.stored(line, ledger.begin(line));
            }
            ledger.delivered(&line, delivered);
            ledger.rolled_back();
            let losses =
                [&line, &other].map(|line| ledger.loss(line).map(|loss| (loss.roll_back, loss.numbers)));
            let expected = [Some((1, 2..=3)), Some((1, 1..=1))];
            assert_eq!(losses, if is_shortened { expected } else { [None, None] });
        }
    }
}
