//! What a process has used, as Linux tells it in `/proc`.

use std::fs;
use std::time::Duration;

use crate::Failure;

/// Processor time of a process since it began.
pub(crate) fn processor_time(pid: u32) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may contain anything; what follows it does not.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/<pid>/stat has no name")?;
    let mut fields = fields.split_ascii_whitespace();
    let mut ticks =
        || -> Result<u64, Failure> { Ok(fields.next().ok_or("/proc/<pid>/stat is short")?.parse()?) };
    // After the name come the state and ten numbers, then user and system time (proc_pid_stat(5)).
    for _ in 0..11 {
        let _ = ticks();
    }
    let ticks = ticks()? + ticks()?;
    Ok(Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1)))
}

/// Bytes of memory that a process has resident.
pub(crate) fn resident(pid: u32) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("/proc/<pid>/status has no VmRSS")?;
    let kibibytes: u64 = line.split_whitespace().next().ok_or("VmRSS is empty")?.parse()?;
    Ok(kibibytes * 1024)
}

/// Processor time that a process uses between two moments.
pub(crate) struct Stopwatch {
    pid: u32,
    began: Duration,
}

impl Stopwatch {
    pub(crate) fn start(pid: u32) -> Result<Self, Failure> {
        Ok(Self { pid, began: processor_time(pid)? })
    }

    pub(crate) fn read(&self) -> Result<Duration, Failure> {
        Ok(processor_time(self.pid)?.saturating_sub(self.began))
    }
}
