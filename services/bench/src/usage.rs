//! Resource usage of a process, from Linux's `/proc`.

use std::fs;
use std::time::Duration;

use crate::failure::Failure;

/// Processor time of a process since it began.
pub(crate) fn processor_time(pid: u32) -> Result<Duration, Failure> {
    time_of(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
}

/// Processor time of a process's threads whose names have this prefix.
fn processor_time_of_threads(pid: u32, name: &str) -> Result<Duration, Failure> {
    let (mut time, mut found) = (Duration::ZERO, false);
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile; the requested ones do not.
        let Ok(stat) = fs::read_to_string(thread?.path().join("stat")) else { continue };
        if stat.split_once('(').is_some_and(|(_, rest)| rest.starts_with(name)) {
            time += time_of(&stat)?;
            found = true;
        }
    }
    if found { Ok(time) } else { Err(format!("process {pid} has no thread named {name}…").into()) }
}

/// User and system time, from the `stat` line of a process or thread (`proc_pid_stat(5)`).
fn time_of(stat: &str) -> Result<Duration, Failure> {
    // The name, in parentheses, may contain anything; the fields after it do not.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/<pid>/stat has no name")?;
    let mut fields = fields.split_ascii_whitespace();
    let mut ticks =
        || -> Result<u64, Failure> { Ok(fields.next().ok_or("/proc/<pid>/stat is short")?.parse()?) };
    // After the name come the state and ten numbers.
    for _ in 0..11 {
        let _ = ticks();
    }
    let ticks = ticks()? + ticks()?;
    Ok(Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1)))
}

/// Waits until these processes are idle, for example after closing all connections.
pub(crate) async fn until_idle(pids: &[u32]) -> Result<(), Failure> {
    const QUIET: Duration = Duration::from_millis(500);
    const LITTLE: Duration = Duration::from_millis(20);
    let used = || pids.iter().map(|pid| processor_time(*pid)).sum::<Result<Duration, Failure>>();
    let mut before = used()?;
    loop {
        tokio::time::sleep(QUIET).await;
        let now = used()?;
        if now.saturating_sub(before) <= LITTLE {
            return Ok(());
        }
        before = now;
    }
}

/// The memory of a process in bytes, without file mappings, once it hardly changes; a process that is never still is not
/// waited for without end.
pub(crate) async fn settled(pid: u32) -> Result<u64, Failure> {
    const SETTLING: Duration = Duration::from_millis(700);
    const MOST: usize = 30;
    /// A change by less than this part is none.
    const HARDLY: u64 = 500;
    let (mut last, mut same) = (0, 0);
    for _ in 0..MOST {
        tokio::time::sleep(SETTLING).await;
        let now = anonymous(pid)?;
        same = if now.abs_diff(last) <= now / HARDLY { same + 1 } else { 0 };
        last = now;
        if same == 3 {
            break;
        }
    }
    Ok(last)
}

/// Resident memory of a process in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64, Failure> {
    bytes_of(pid, "VmRSS:")
}

/// Resident memory of a process in bytes, without file mappings.
fn anonymous(pid: u32) -> Result<u64, Failure> {
    bytes_of(pid, "RssAnon:")
}

/// The peak of a process's resident memory in bytes.
pub(crate) fn peak(pid: u32) -> Result<u64, Failure> {
    bytes_of(pid, "VmHWM:")
}

fn bytes_of(pid: u32, field: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    let kibibytes: u64 = kibibytes.ok_or_else(|| format!("/proc/<pid>/status has no {field}"))?.parse()?;
    Ok(kibibytes * 1024)
}

/// Processor time of this thread.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default())
}

/// Processor time that a process uses between two moments.
pub(crate) struct Stopwatch {
    pid: u32,
    /// Measures only threads with this prefix.
    threads: Option<&'static str>,
    began: Duration,
}

impl Stopwatch {
    pub(crate) fn start(pid: u32) -> Result<Self, Failure> {
        Self { pid, threads: None, began: Duration::ZERO }.started()
    }

    /// Measures a process's threads whose names have this prefix.
    pub(crate) fn of_threads(pid: u32, threads: &'static str) -> Result<Self, Failure> {
        Self { pid, threads: Some(threads), began: Duration::ZERO }.started()
    }

    fn started(self) -> Result<Self, Failure> {
        Ok(Self { began: self.read()?, ..self })
    }

    pub(crate) fn read(&self) -> Result<Duration, Failure> {
        let used = match self.threads {
            Some(name) => processor_time_of_threads(self.pid, name)?,
            None => processor_time(self.pid)?,
        };
        Ok(used.saturating_sub(self.began))
    }
}
