//! The tasks of a process: each has a name, all are stopped together, and unfinished ones are reported.
//!
//! A signal begins a slow shutdown, in which connections are first moved to other gateways. A fault, such as a panic of
//! a task, stops the process in the same order but without delay, because the other tasks may depend on the failed one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A signal that stops the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// Returns the exit code of a process that this signal stops: 128 and the signal's number.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 128 + 2,
            Self::Terminate => 128 + 15,
        }
    }
}

/// The shutdown was not clean: tasks panicked or did not end in time. The process's exit code is not 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shutdown was not clean: {}", self.describe())]
pub struct Unclean {
    /// The tasks that panicked, in that order.
    pub panicked: Vec<String>,
    /// The tasks that did not end in time, oldest first.
    pub unfinished: Vec<String>,
}

impl Unclean {
    fn describe(&self) -> String {
        let parts = [("panicked", &self.panicked), ("did not end in time", &self.unfinished)];
        let told = parts.iter().filter(|(_, names)| !names.is_empty());
        told.map(|(what, names)| format!("{} {what}", names.join(", "))).collect::<Vec<_>>().join("; ")
    }
}

/// The tasks of a process and the signal to stop them. Clones refer to the same shutdown.
///
/// It is for tasks that live as long as the process. Tasks that come and go in large numbers, such as one per
/// connection, belong to their own tracker, which one of these tasks waits for.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    /// Cancelled when no time is left to move connections; never without `token`.
    urgent: CancellationToken,
    tracker: TaskTracker,
    ledger: Arc<Mutex<Ledger>>,
}

#[derive(Debug, Default)]
struct Ledger {
    next: u64,
    running: BTreeMap<u64, Cow<'static, str>>,
    panicked: Vec<String>,
    has_failed: bool,
}

impl Shutdown {
    /// Creates a shutdown without tasks that was not triggered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `task` under `name`. The task should end soon after [`Shutdown::triggered`], and may end earlier. A panic
    /// is logged and triggers the shutdown.
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        let entry = Entry::new(Arc::clone(&self.ledger), name.clone());
        let shutdown = self.clone();
        self.tracker.spawn(async move {
            // The task's state is not used after its panic.
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            drop(entry);
            if let Err(payload) = ended {
                tracing::error!(task = %name, reason = panic_message(&*payload), "task panicked; shutting down");
                lock(&shutdown.ledger).panicked.push(name.into_owned());
                shutdown.trigger();
            }
        });
    }

    /// Stops all tasks in their own time, as a signal does. A repetition has no effect.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Stops all tasks without delay, as a fault does. A repetition has no effect.
    pub fn trigger(&self) {
        self.token.cancel();
        self.urgent.cancel();
    }

    /// Stops all tasks without delay because one of them failed. The process's exit code is not 0.
    pub fn fail(&self) {
        lock(&self.ledger).has_failed = true;
        self.trigger();
    }

    /// Returns whether a task failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        lock(&self.ledger).has_failed
    }

    /// Waits for [`Shutdown::begin`] or [`Shutdown::trigger`]. Cancel safe.
    pub async fn triggered(&self) {
        self.token.cancelled().await;
    }

    /// Waits for [`Shutdown::trigger`], after which no task may delay its end. Cancel safe.
    pub async fn urgent(&self) {
        self.urgent.cancelled().await;
    }

    /// Returns whether the tasks are being stopped.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns a token that is cancelled when the shutdown begins. Cancelling it is [`Shutdown::begin`].
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Handles SIGINT and SIGTERM. The future must be polled: the first signal begins the shutdown. The second signal
    /// completes the future, and its caller then ends the process at once:
    ///
    /// ```no_run
    /// # use std::{process, time::Duration};
    /// # use tidings_runtime::shutdown::Shutdown;
    /// # async fn run() -> std::io::Result<()> {
    /// let shutdown = Shutdown::new();
    /// let second_signal = shutdown.on_signals()?;
    /// // shutdown.spawn("…", …)
    /// tokio::select! {
    ///     signal = second_signal => process::exit(signal.exit_code().into()),
    ///     clean = shutdown.finished(Duration::from_secs(20), Duration::from_secs(10)) => { /* report; flush telemetry */ }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn on_signals(&self) -> std::io::Result<impl Future<Output = Signal> + Send + use<>> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = self.clone();
        Ok(async move {
            let mut next = async || {
                tokio::select! {
                    _ = interrupt.recv() => Signal::Interrupt,
                    _ = terminate.recv() => Signal::Terminate,
                }
            };
            let first = next().await;
            tracing::info!(signal = ?first, "shutting down; a second signal ends the process at once");
            shutdown.begin();
            next().await
        })
    }

    /// Waits until every task has ended: after the shutdown began, for at most `leisure` and then `bound`; after it
    /// became urgent, for at most `bound`. Unfinished tasks keep running, so end the process. Call it after all tasks
    /// are spawned.
    pub async fn finished(&self, leisure: Duration, bound: Duration) -> Result<(), Unclean> {
        self.tracker.close();
        let expired = async {
            self.triggered().await;
            let _ = tokio::time::timeout(leisure, self.urgent()).await;
            tokio::time::sleep(bound).await;
        };
        tokio::select! {
            biased;
            () = self.tracker.wait() => {}
            () = expired => {}
        }
        let ledger = lock(&self.ledger);
        let unclean = Unclean {
            panicked: ledger.panicked.clone(),
            unfinished: ledger.running.values().map(ToString::to_string).collect(),
        };
        if unclean.panicked.is_empty() && unclean.unfinished.is_empty() { Ok(()) } else { Err(unclean) }
    }
}

/// The entry of a task in the ledger, for the lifetime of the task.
struct Entry {
    ledger: Arc<Mutex<Ledger>>,
    id: u64,
}

impl Entry {
    fn new(ledger: Arc<Mutex<Ledger>>, name: Cow<'static, str>) -> Self {
        let id = {
            let mut lines = lock(&ledger);
            lines.next += 1;
            let id = lines.next;
            lines.running.insert(id, name);
            id
        };
        Self { ledger, id }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.ledger).running.remove(&self.id);
    }
}

/// The ledger is valid even if the lock is poisoned: no code panics while it holds the lock, and each change is
/// complete.
fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
