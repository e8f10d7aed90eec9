//! Cores: the measured process has one to itself; everything else shares the others.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::failure::Failure;

/// The core of the measured process, and the cores of the rest.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) measured: CpuSet,
    pub(crate) others: CpuSet,
}

impl Cores {
    /// Divides the cores that this program may use: the last one is for the measured process.
    pub(crate) fn divide() -> Result<Self, Failure> {
        let mut others = sched_getaffinity(None)?;
        if others.count() < 2 {
            return Err("one core is not enough: the measured process needs one of its own".into());
        }
        let mut measured = CpuSet::new();
        if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|core| others.is_set(*core)) {
            measured.set(last);
            others.unset(last);
        }
        Ok(Self { measured, others })
    }

    /// Moves every thread of this program, and thereby every process that it starts from now on, to the other cores.
    pub(crate) fn leave_measured(&self) -> Result<(), Failure> {
        for thread in std::fs::read_dir("/proc/self/task")? {
            let thread = thread?.file_name().to_string_lossy().parse()?;
            sched_setaffinity(Pid::from_raw(thread), &self.others)?;
        }
        Ok(())
    }
}

/// Calls a function on these cores; a process that it starts stays there.
pub(crate) fn on<T>(cores: &CpuSet, start: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
    let before = sched_getaffinity(None)?;
    sched_setaffinity(None, cores)?;
    let started = start();
    sched_setaffinity(None, &before)?;
    started
}
