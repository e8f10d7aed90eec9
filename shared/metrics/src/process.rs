//! Figures of the process itself, under the names that Prometheus's own libraries use, and which build it is.

use std::time::SystemTime;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use crate::snapshot::{Snapshot, Source};

crate::declare! {
    /// What every process has.
    pub METRICS {
        BUILD: Gauge "tidings_build_info" ["version"]
            "Always 1; its label says which version of Tidings runs.",
        CPU: Counter "process_cpu_seconds_total" []
            "CPU time of the process, user and system, in seconds.",
        RESIDENT: Gauge "process_resident_memory_bytes" [] "Memory of the process that is resident, in bytes.",
        VIRTUAL: Gauge "process_virtual_memory_bytes" [] "Virtual memory of the process, in bytes.",
        OPEN_FILES: Gauge "process_open_fds" []
            "Open files of the process; each connection of a client takes one.",
        MOST_FILES: Gauge "process_max_fds" [] "Files that the process may open (`LimitNOFILE`).",
        THREADS: Gauge "process_threads" [] "Threads of the process.",
        STARTED: Gauge "process_start_time_seconds" []
            "When the process started, in seconds since 1970.",
    }
}

/// The figures of the process itself. What the system does not tell is left out.
#[derive(Debug)]
pub struct ProcessFigures {
    started: SystemTime,
}

impl Default for ProcessFigures {
    fn default() -> Self {
        Self { started: SystemTime::now() }
    }
}

impl Source for ProcessFigures {
    fn collect(&self, snapshot: &mut Snapshot) {
        if snapshot.is_of_tenants() {
            return;
        }
        snapshot.count(&BUILD, &[env!("CARGO_PKG_VERSION")], 1);
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        snapshot.number(&STARTED, &[], started.as_secs_f64());
        let stat = std::fs::read_to_string("/proc/self/stat").ok();
        if let Some(usage) = stat.as_deref().and_then(Usage::parse) {
            #[expect(clippy::cast_precision_loss, reason = "a time in seconds need not be exact")]
            snapshot.number(&CPU, &[], usage.ticks as f64 / clock_ticks_per_second() as f64);
            snapshot.count(&RESIDENT, &[], usage.pages.saturating_mul(page_size() as u64));
            snapshot.count(&VIRTUAL, &[], usage.bytes);
            snapshot.count(&THREADS, &[], usage.threads);
        }
        if let Some(files) = open_files() {
            snapshot.count(&OPEN_FILES, &[], files);
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            snapshot.count(&MOST_FILES, &[], most);
        }
    }
}

/// What `/proc/self/stat` says (`proc_pid_stat(5)`).
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    /// Of CPU time.
    ticks: u64,
    threads: u64,
    /// Of virtual memory.
    bytes: u64,
    /// Of resident memory.
    pages: u64,
}

impl Usage {
    fn parse(stat: &str) -> Option<Self> {
        // The name of the program comes before, in parentheses, and may contain anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // The first of these is the third field.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            ticks: field(14)? + field(15)?,
            threads: field(20)?,
            bytes: field(23)?,
            pages: field(24)?,
        })
    }
}

/// How many files are open. Since Linux 6.2 the size of the folder says that; before, its entries are counted.
fn open_files() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    let size = std::fs::metadata(FOLDER).ok()?.len();
    if size > 0 { Some(size) } else { u64::try_from(std::fs::read_dir(FOLDER).ok()?.count()).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Page;

    #[test]
    fn the_program_may_have_any_name() {
        let stat = "7 (a ) S 9) R 1 7 7 0 -1 4194304 100 0 0 0 31 11 0 0 20 0 5 0 8 4096000 250 18446744073709551615";
        let expected = Usage { ticks: 42, threads: 5, bytes: 4_096_000, pages: 250 };
        assert_eq!(Usage::parse(stat), Some(expected));
        assert_eq!(Usage::parse("7 (short) R"), None);
    }

    #[test]
    fn this_process_has_figures() {
        let mut snapshot = Snapshot::new(Page::Process, SystemTime::UNIX_EPOCH);
        ProcessFigures::default().collect(&mut snapshot);
        for metric in [&RESIDENT, &VIRTUAL, &OPEN_FILES, &MOST_FILES, &THREADS, &STARTED] {
            assert!(snapshot.value(metric, &[]).is_some_and(|value| value > 0.0), "{}", metric.name());
        }
        assert!(snapshot.value(&CPU, &[]).is_some());
    }
}
