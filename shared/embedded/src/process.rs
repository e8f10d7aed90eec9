//! A child process that does not outlive its handle, nor, on Linux, this process.
//!
//! Linux sends the parent-death signal when the *thread* that started the child ends, not the process. Each child
//! therefore has a thread of its own, which starts it and waits for its end: the thread lives exactly as long as the
//! child, whichever runtime or test thread requested it.
//!
//! The end of the child is observed without reaping it. The child is reaped under the lock under which signals are
//! sent, so a signal can never reach another process that has inherited the process id.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::{oneshot, watch};

/// A running or ended child process. Dropping it kills the child and blocks until the child is gone.
#[derive(Debug)]
pub struct Process {
    child: Arc<Mutex<Child>>,
    pid: u32,
    end: watch::Receiver<Option<ExitStatus>>,
    /// Taken when the process is dropped.
    thread: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the process in a process group of its own: Ctrl-C in the terminal reaches the parent only, which stops
    /// the child when it no longer needs it.
    pub async fn spawn(mut command: Command) -> io::Result<Self> {
        command.process_group(0);
        die_with_parent(&mut command);

        let (started, start) = oneshot::channel();
        let (ended, end) = watch::channel(None);
        let thread = thread::Builder::new().name("child".into()).spawn(move || {
            let child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    // The caller has dropped its future.
                    _ = started.send(Err(error));
                    return;
                }
            };
            let (pid, id) = (Pid::from_child(&child), child.id());
            let child = Arc::new(Mutex::new(child));
            if started.send(Ok((Arc::clone(&child), id))).is_err() {
                // Killing fails only if the process has already ended.
                _ = lock(&child).kill();
            }
            wait_without_reaping(pid, WaitIdOptions::EXITED);
            if let Ok(status) = lock(&child).wait() {
                ended.send_replace(Some(status));
            }
        })?;
        let (child, pid) = start.await.map_err(io::Error::other)??;
        Ok(Self { child, pid, end, thread: Some(thread) })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends the process a signal. Does nothing if it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let mut child = lock(&self.child);
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        signal_child(Pid::from_child(&child), signal)
    }

    /// Ends the process at once (SIGKILL). Does nothing if it has ended.
    pub fn kill(&self) -> io::Result<()> {
        lock(&self.child).kill()
    }

    /// Completes when the process has ended; `None` if the operating system did not report how.
    pub async fn ended(&self) -> Option<ExitStatus> {
        let mut end = self.end.clone();
        end.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killing fails only if the process has already ended.
        _ = self.kill();
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// Sends a child of this process, not reaped yet, a signal. After SIGSTOP, all of its threads stand still.
///
/// The signal wakes one thread, which stops the others when it runs: on a busy machine these work on until then, and
/// what is done to the "stopped" process meanwhile meets a running one.
pub fn signal_child(pid: Pid, signal: Signal) -> io::Result<()> {
    kill_process(pid, signal)?;
    if signal == Signal::STOP {
        wait_without_reaping(pid, WaitIdOptions::STOPPED | WaitIdOptions::EXITED);
    }
    Ok(())
}

/// The child must be ended even after a panic elsewhere.
fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_without_reaping(pid: Pid, until: WaitIdOptions) {
    while matches!(waitid(WaitId::Pid(pid), until | WaitIdOptions::NOWAIT), Err(Errno::INTR)) {}
}

/// Makes the kernel kill the child when the thread that starts it ends, and so also when this process dies.
#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let between_fork_and_exec = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The signal is not sent for a parent that died before the call above.
        if rustix::process::getppid() != Some(parent) {
            return Err(Errno::SRCH.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe functions may run. The closure makes two system calls and
    // builds an `io::Error` from an error number, which does not allocate; it takes no lock.
    #[allow(unsafe_code, reason = "std offers no other way to set the parent-death signal")]
    unsafe {
        command.pre_exec(between_fork_and_exec);
    }
}

/// Other systems have no such signal: there the child survives a parent that is killed with SIGKILL.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}
