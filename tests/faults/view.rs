//! What one device has seen, judged as it comes.
//!
//! Pure: what is a violation is decided here and tested with tables, whatever the network does.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use crate::ledger::{Loss, Moment};

/// What must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wrong {
    Lost,
    OutOfOrder,
    Foreign,
    /// Although it was acknowledged and nothing failed since.
    Repeated,
    /// A device was told of a gap where there is none, or of none where there is one.
    Gap,
    /// Something does not go on by itself.
    Hung,
    /// A process ended by itself.
    Ended,
}

impl Wrong {
    pub(crate) const ALL: [Self; 7] =
        [Self::Lost, Self::OutOfOrder, Self::Foreign, Self::Repeated, Self::Gap, Self::Hung, Self::Ended];
}

/// What was wrong, and the words for it.
pub(crate) type Violation = (Wrong, String);

/// The numbers of one line that a device has received.
#[derive(Debug, Default)]
struct Received {
    /// The first number that must come, once that is known.
    from: Option<u64>,
    numbers: BTreeSet<u64>,
    last_of_connection: u64,
    /// Up to where it was acknowledged.
    acknowledged: u64,
    /// Numbers that were passed over, with what came around it.
    passed: VecDeque<(RangeInclusive<u64>, String)>,
}

/// So many of the last numbers that were passed over are known with what came around it.
const PASSED: usize = 64;

impl Received {
    fn pass_over(&mut self, numbers: RangeInclusive<u64>, around: String) {
        if self.passed.len() == PASSED {
            self.passed.pop_front();
        }
        self.passed.push_back((numbers, around));
    }

    /// What came around it when this number was passed over.
    fn around(&self, number: u64) -> &str {
        let found = self.passed.iter().find(|(numbers, _)| numbers.contains(&number));
        found.map_or("", |(_, around)| around)
    }
}

/// Which of a device's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For its user alone.
    Personal,
    /// Of the topic.
    Topic,
}

/// What an acknowledgement covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) sequence: u64,
    numbers: (u64, u64),
}

/// A device with all that it received and what was wrong with it.
#[derive(Debug)]
pub(crate) struct View {
    name: String,
    personal: Received,
    topic: Received,
    last_sequence: u64,
    /// The epoch of the stream that sequences belong to.
    epoch: String,
    acknowledged_at: Moment,
    repeated: usize,
    gaps: usize,
    /// How often NATS had come back with less, when something came last.
    rolled_back: u64,
    /// The same when a plain connection began again in between, of which it is told nothing.
    restarted: u64,
    /// The same when the device connected, or was told of a gap: since then it knows where it is.
    placed_at: u64,
    /// The last messages and connections, for whoever looks for the reason of a violation.
    recent: VecDeque<String>,
    violations: Vec<Violation>,
}

/// As many of the last messages are told with a violation.
const RECENT: usize = 24;

impl View {
    /// A device that must receive everything that is for its user.
    pub(crate) fn new(name: String) -> Self {
        let personal = Received { from: Some(1), ..Received::default() };
        Self {
            name,
            personal,
            topic: Received::default(),
            last_sequence: 0,
            epoch: String::new(),
            acknowledged_at: Moment::default(),
            repeated: 0,
            gaps: 0,
            rolled_back: 0,
            restarted: 0,
            placed_at: 0,
            recent: VecDeque::new(),
            violations: Vec::new(),
        }
    }

    /// Remembers for a while what has come.
    pub(crate) fn remember(&mut self, what: &str) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(what.to_owned());
    }

    fn told_lately(&self) -> String {
        self.recent.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// A new connection: it begins where the gateway says.
    pub(crate) fn connected(&mut self, now: Moment) {
        self.opened();
        self.placed_at = now.rolled_back();
    }

    /// Sequences begin again: what was not acknowledged may come again.
    fn opened(&mut self) {
        self.last_sequence = 0;
        (self.personal.last_of_connection, self.topic.last_of_connection) = (0, 0);
    }

    /// Where the gateway says that the device is. In another stream, as after a move of its tenant, it resumes as on a
    /// new connection.
    pub(crate) fn positioned(&mut self, position: &str, now: Moment) {
        let epoch = position.split('-').next().unwrap_or_default();
        if epoch != self.epoch {
            epoch.clone_into(&mut self.epoch);
            self.connected(now);
        }
    }

    /// A message is coming of a line of which this was lost, on a connection that may be older than the loss. What was
    /// published since must not come before the device was told that something is missing.
    pub(crate) fn check_told(&mut self, kind: Kind, number: u64, loss: &Loss) {
        let received = self.line(kind);
        let Some(from) = received.from else { return };
        let lacks = |lost: &u64| *lost >= from && !received.numbers.contains(lost);
        let lacking = loss.numbers.clone().filter(lacks).count();
        if number > *loss.numbers.end() && self.placed_at < loss.roll_back && lacking > 0 {
            self.violation(
                Wrong::Gap,
                &format!(
                    "{kind:?} {number} came, and no gap was told though {lacking} of {:?} are lost",
                    loss.numbers
                ),
            );
        }
    }

    /// The subscription was confirmed: whatever is published from this number on must come.
    pub(crate) fn subscribed(&mut self, from: u64) {
        self.topic.from.get_or_insert(from);
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.topic.from.is_some()
    }

    /// A message has come. Whether it is the first time.
    pub(crate) fn received(&mut self, kind: Kind, number: u64, sequence: Option<u64>, now: Moment) -> bool {
        if std::mem::replace(&mut self.rolled_back, now.rolled_back()) != now.rolled_back() {
            // The stream is another one, with places and an end of its own.
            self.opened();
            (self.personal.acknowledged, self.topic.acknowledged) = (0, 0);
        }
        if let Some(sequence) = sequence
            && std::mem::replace(&mut self.last_sequence, sequence) >= sequence
        {
            self.violation(Wrong::OutOfOrder, &format!("sequence {sequence} came out of order"));
        }
        if sequence.is_none()
            && number <= self.line(kind).last_of_connection
            && self.restarted < now.rolled_back()
        {
            // Its gateway has noticed the roll-back after it had delivered something newer already.
            self.restarted = now.rolled_back();
            self.opened();
        }
        let was_quiet = self.acknowledged_at.is_quiet_until(now);
        let first = self.line(kind).numbers.last().map_or(1, |last| last + 1);
        if first < number {
            let around = self.told_lately();
            self.line(kind).pass_over(first..=number - 1, around);
        }
        let received = self.line(kind);
        let last = std::mem::replace(&mut received.last_of_connection, number);
        let is_acknowledged = number <= received.acknowledged;
        let is_new = received.numbers.insert(number);
        if last >= number {
            self.violation(Wrong::OutOfOrder, &format!("{kind:?} {number} came after {last}"));
        }
        if is_acknowledged {
            self.repeated += 1;
            if was_quiet {
                self.violation(
                    Wrong::Repeated,
                    &format!("{kind:?} {number} came again although it was acknowledged and nothing failed"),
                );
            }
        }
        is_new
    }

    /// What an acknowledgement that is sent now covers; `None` if this connection has brought nothing with a sequence.
    pub(crate) fn mark(&self) -> Option<Mark> {
        let numbers = (self.personal.last_of_connection, self.topic.last_of_connection);
        (self.last_sequence > 0).then_some(Mark { sequence: self.last_sequence, numbers })
    }

    /// The gateway has heard this acknowledgement and saved it.
    pub(crate) fn acknowledged(&mut self, mark: Mark, at: Moment) {
        for (received, number) in [(&mut self.personal, mark.numbers.0), (&mut self.topic, mark.numbers.1)] {
            received.acknowledged = received.acknowledged.max(number);
        }
        self.acknowledged_at = at;
    }

    /// It was told of a gap.
    pub(crate) fn gap(&mut self, message: &str, now: Moment) {
        self.gaps += 1;
        if now.rolled_back() == 0 {
            self.violation(Wrong::Gap, &format!("was told of a gap: {message}"));
        }
        self.connected(now);
    }

    pub(crate) fn violation(&mut self, wrong: Wrong, what: &str) {
        // The first few show what happens; a device that goes wrong goes wrong often.
        if self.violations.len() < 5 {
            let recent = self.told_lately();
            self.violations.push((wrong, format!("{}: {what}; the last messages were\n{recent}", self.name)));
        }
    }

    /// What has not come of all that was stored, up to these numbers, but for what NATS has forgotten.
    pub(crate) fn missing(
        &self,
        personal: u64,
        topic: u64,
        is_forgotten: impl Fn(Kind, u64) -> bool,
    ) -> Vec<String> {
        let lines = [(Kind::Personal, &self.personal, personal), (Kind::Topic, &self.topic, topic)];
        let missing = lines.into_iter().filter_map(|(kind, received, stored)| {
            let due = received.from?..=stored;
            let is_missing =
                |number: &u64| !received.numbers.contains(number) && !is_forgotten(kind, *number);
            let numbers: Vec<u64> = due.filter(is_missing).collect();
            let (first, last) = (numbers.first()?, numbers.last()?);
            let what = format!("{}: {} of {kind:?} never came, {first} to {last}", self.name, numbers.len());
            Some(format!("{what}\n{}", received.around(*first)).trim_end().to_owned())
        });
        missing.collect()
    }

    /// How many messages it has received, how often one came again although it was acknowledged, how many gaps it was
    /// told of, and what was wrong.
    pub(crate) fn summary(&self) -> (usize, usize, usize, &[Violation]) {
        let received = self.personal.numbers.len() + self.topic.numbers.len();
        (received, self.repeated, self.gaps, &self.violations)
    }

    fn line(&mut self, kind: Kind) -> &mut Received {
        match kind {
            Kind::Personal => &mut self.personal,
            Kind::Topic => &mut self.topic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;

    /// A device to which these messages come, each with its sequence; 0 stands for a new connection.
    fn after(messages: &[(u64, u64)]) -> View {
        let mut view = View::new("d".into());
        for &(number, sequence) in messages {
            if number == 0 {
                view.opened();
            } else {
                view.received(Kind::Personal, number, Some(sequence), Moment::default());
            }
        }
        view
    }

    #[test]
    fn order_holds_within_a_connection() {
        for (messages, violations) in [
            (&[(1, 1), (2, 5), (3, 6)][..], 0),
            (&[(1, 1), (2, 5), (0, 0), (1, 1), (2, 5)], 0),
            (&[(2, 5), (1, 1)], 2),
            (&[(1, 1), (1, 1)], 2),
            (&[(1, 1), (1, 2)], 1),
        ] {
            assert_eq!(after(messages).violations.len(), violations, "{messages:?}");
        }
    }

    #[test]
    fn another_stream_has_sequences_of_its_own() {
        let mut view = after(&[(7, 1), (8, 2)]);
        view.positioned("18f3-8", Moment::default());
        view.received(Kind::Personal, 3, Some(9), Moment::default());
        view.positioned("18f4-1", Moment::default());
        view.received(Kind::Personal, 4, Some(2), Moment::default());
        assert_eq!(view.violations.len(), 0, "{view:?}");
        view.positioned("18f4-2", Moment::default());
        view.received(Kind::Personal, 5, Some(1), Moment::default());
        assert_eq!(view.violations.len(), 1, "{view:?}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let view = after(&[(1, 1), (3, 3)]);
        assert_eq!(view.missing(4, 9, |_, _| false), ["d: 2 of Personal never came, 2 to 4"]);
        let mut view = after(&[(1, 1)]);
        view.subscribed(8);
        assert_eq!(view.missing(1, 9, |_, _| false), ["d: 2 of Topic never came, 8 to 9"]);
        assert!(view.missing(1, 7, |_, _| false).is_empty());
        assert!(view.missing(1, 9, |kind, number| kind == Kind::Topic && number > 7).is_empty());
    }

    #[test]
    fn a_loss_is_told_before_anything_newer_comes() {
        for (what, received, gaps, violations) in [
            ("lost and not told", 1, 0, 1),
            ("lost and told", 1, 1, 0),
            ("nothing that it lacks is lost", 3, 0, 0),
        ] {
            let (ledger, line) = (Ledger::default(), ("lab".to_owned(), "u1".to_owned()));
            ledger.stored(&line, ledger.begin(&line));
            ledger.copied();
            for _ in 2..=3 {
                ledger.stored(&line, ledger.begin(&line));
            }
            ledger.delivered(&line, 3);
            let mut view = View::new("d".into());
            view.connected(ledger.now());
            for number in 1..=received {
                view.received(Kind::Personal, number, Some(number), ledger.now());
            }
            ledger.rolled_back();
            let loss = ledger.loss(&line).unwrap();
            view.check_told(Kind::Personal, 3, &loss);
            assert_eq!(view.violations.len(), 0, "{what}: it was under way");
            (0..gaps).for_each(|_| view.gap("", ledger.now()));
            view.check_told(Kind::Personal, 4, &loss);
            assert_eq!(view.violations.len(), violations, "{what}");
        }
    }

    #[test]
    fn what_was_acknowledged_comes_again_only_after_a_fault() {
        for fails in [false, true] {
            let (ledger, mut view) = (Ledger::default(), after(&[(1, 1), (2, 2)]));
            view.acknowledged(view.mark().unwrap(), ledger.now());
            if fails {
                ledger.fault_begins();
            }
            view.opened();
            view.received(Kind::Personal, 2, Some(2), ledger.now());
            assert_eq!((view.repeated, view.violations.is_empty()), (1, fails));
        }
    }
}
