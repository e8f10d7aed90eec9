//! What came of it, as a table and as a list of what must not be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::device::Seen;
use crate::fault::{Fault, Outcome};
use crate::ledger::Ledger;

/// The verdict in the making.
#[derive(Debug, Default)]
pub(crate) struct Report {
    outcomes: BTreeMap<(Fault, &'static str), Vec<(Duration, Duration)>>,
    violations: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, outcome: Outcome) {
        let Outcome { fault, to, storing, delivering } = outcome;
        self.outcomes.entry((fault, to)).or_default().push((storing, delivering));
    }

    /// Adds what the devices have seen, and prints all.
    #[expect(clippy::print_stdout, reason = "the table is what `just faults` is called for")]
    pub(crate) fn conclude(&mut self, seed: u64, ledger: &Ledger, devices: &[Arc<Seen>]) {
        let (mut received, mut repeated) = (0, 0);
        for device in devices {
            self.violations.extend(device.missing(ledger));
            device.view(|view| {
                let (messages, again, violations) = view.summary();
                received += messages;
                repeated += again;
                self.violations.extend_from_slice(violations);
            });
        }
        let faults: usize = self.outcomes.values().map(Vec::len).sum();
        println!(
            "\nseed {seed}: {faults} faults, {} events stored, {received} messages received by {} devices, {repeated} \
             acknowledged messages again after faults, {} violations",
            ledger.total(),
            devices.len(),
            self.violations.len()
        );
        println!(
            "\n| fault | times | storing stood, median / most | delivering stood |\n| --- | --- | --- | --- |"
        );
        for ((fault, to), stood) in &self.outcomes {
            let (storing, delivering) = stood.iter().copied().unzip();
            println!("| {fault:?} {to} | {} | {} | {} |", stood.len(), spread(storing), spread(delivering));
        }
    }

    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let median = times[times.len() / 2].as_secs_f64();
    format!("{median:.1} / {:.1} s", times.last().unwrap().as_secs_f64())
}
