//! What came of it, as a table and as a list of what must not be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::device::Seen;
use crate::fault::{Fault, Outcome};
use crate::ledger::Ledger;
use crate::memory::Memory;
use crate::view::{Violation, Wrong};

/// The verdict in the making.
#[derive(Debug, Default)]
pub(crate) struct Report {
    outcomes: BTreeMap<(Fault, &'static str), Vec<(Duration, Duration)>>,
    memory: Memory,
    violations: Vec<Violation>,
}

impl Report {
    /// Adds what came of a fault, and says how far the run is.
    #[expect(clippy::print_stdout, reason = "a long run tells how far it is")]
    pub(crate) fn add(&mut self, outcome: Outcome, since_start: Duration) {
        let Outcome { fault, to, storing, delivering } = outcome;
        self.outcomes.entry((fault, to)).or_default().push((storing, delivering));
        println!(
            "{:.0} s: {}. {fault:?} {to}: storing stood {:.1} s, delivering {:.1} s",
            since_start.as_secs_f64(),
            self.faults(),
            storing.as_secs_f64(),
            delivering.as_secs_f64()
        );
    }

    pub(crate) fn wrong(&mut self, wrong: Wrong, what: String) {
        self.violations.push((wrong, what));
    }

    /// How many faults there were.
    pub(crate) fn faults(&self) -> usize {
        self.outcomes.values().map(Vec::len).sum()
    }

    /// Looks at the memory of these processes.
    pub(crate) fn memory(&mut self, processes: impl Iterator<Item = (String, Option<u32>)>) {
        self.memory.sample(processes);
    }

    /// Adds what the devices have seen, and prints all.
    pub(crate) fn conclude(&mut self, seed: u64, time: Duration, ledger: &Ledger, devices: &[Arc<Seen>]) {
        let (mut received, mut repeated, mut gaps) = (0, 0, 0);
        for device in devices {
            self.violations.extend(device.missing(ledger).into_iter().map(|what| (Wrong::Lost, what)));
            device.view(|view| {
                let (messages, again, told, violations) = view.summary();
                received += messages;
                repeated += again;
                gaps += told;
                self.violations.extend_from_slice(violations);
            });
        }
        let counts = format!(
            "{} events stored, {received} messages received by {} devices, {repeated} acknowledged messages again after \
             faults, {gaps} gaps told",
            ledger.total(),
            devices.len()
        );
        self.print(seed, time, &counts);
    }

    #[expect(clippy::print_stdout, reason = "the tables are what `just faults` is called for")]
    fn print(&self, seed: u64, time: Duration, counts: &str) {
        let minutes = time.as_secs_f64() / 60.0;
        println!("\nseed {seed}: {} faults in {minutes:.0} minutes, {counts}", self.faults());
        let verdict = Wrong::ALL.map(|wrong| {
            let count = self.violations.iter().filter(|(found, _)| *found == wrong).count();
            format!("{wrong:?} {count}")
        });
        println!("verdict: {}", verdict.join(", "));
        println!(
            "\n| fault | times | storing stood, median / most | delivering stood |\n| --- | --- | --- | --- |"
        );
        for ((fault, to), stood) in &self.outcomes {
            let (storing, delivering) = stood.iter().copied().unzip();
            println!("| {fault:?} {to} | {} | {} | {} |", stood.len(), spread(storing), spread(delivering));
        }
        println!(
            "\n| memory in MiB | start | middle | end | most, first half | most, second half |\n\
             | --- | --- | --- | --- | --- | --- |"
        );
        self.memory.rows().for_each(|row| println!("{row}"));
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let median = times[(times.len() - 1) / 2].as_secs_f64();
    format!("{median:.1} / {:.1} s", times.last().unwrap().as_secs_f64())
}
