//! What was acknowledged to the producers, and how long storing and delivering stood still.

use std::collections::BTreeMap;
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
    storing: Meter,
    delivering: Meter,
    /// How many faults have begun, and whether one of them lasts.
    faults: u64,
    is_failing: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    begun: u64,
    stored: u64,
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

    /// A device has received something for the first time.
    pub(crate) fn delivered(&self) {
        self.entries().delivering.sign();
    }

    /// The number of the message that was published last, stored or not.
    pub(crate) fn begun(&self, line: &Line) -> u64 {
        self.entries().lines.get(line).map_or(0, |counts| counts.begun)
    }

    /// The number up to which everything of the line is stored.
    pub(crate) fn stored_of(&self, line: &Line) -> u64 {
        self.entries().lines.get(line).map_or(0, |counts| counts.stored)
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
        Moment { faults: entries.faults, is_failing: entries.is_failing }
    }
}

impl Moment {
    /// Whether nothing failed from then until now.
    pub(crate) fn is_quiet_until(self, now: Self) -> bool {
        !self.is_failing && self.faults == now.faults
    }
}
