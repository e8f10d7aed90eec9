//! Child processes that are restarted when they end, until shutdown.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tidings_embedded::{NatsServer, Process};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::report::report;

/// The pause before a restart, so that a failing process does not keep the machine busy.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a service may take to stop before it is killed; less than all services together are given.
const STOP: Duration = Duration::from_secs(8);

/// A `tidings` process with another command and other variables.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) arguments: Vec<OsString>,
    pub(super) variables: Vec<(&'static str, String)>,
}

impl Service {
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(&self.arguments).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// Starts the process, restarts it whenever it ends, and sends its process id to `pid`.
    pub(super) async fn keep(
        self,
        program: std::path::PathBuf,
        pid: watch::Sender<u32>,
        stopped: CancellationToken,
    ) {
        while !stopped.is_cancelled() {
            match Process::spawn(self.command(&program)).await {
                Ok(process) => {
                    if pid.send_replace(process.pid()) != 0 {
                        tracing::info!("{} runs again as process {}", self.name, process.pid());
                    }
                    match stopped.run_until_cancelled(process.ended()).await {
                        Some(status) => self.has_ended(status),
                        None => return stop(&process).await,
                    }
                }
                Err(error) => report(&error),
            }
            stopped.run_until_cancelled(sleep(PAUSE)).await;
        }
    }

    fn has_ended(&self, status: Option<ExitStatus>) {
        let status = status.map_or_else(|| "status unknown".to_owned(), |status| status.to_string());
        tracing::warn!(status, "{} ended; starting it again", self.name);
    }
}

/// Stops a process with its regular signal. Dropping it kills it.
async fn stop(process: &Process) {
    if let Err(error) = process.signal(Signal::TERM) {
        report(&error);
    }
    // On a timeout, it is killed.
    _ = timeout(STOP, process.ended()).await;
}

/// Restarts a nats-server whenever it ends; stops it at shutdown.
pub(super) async fn keep_server(
    mut server: NatsServer,
    name: String,
    stopped: CancellationToken,
) -> Result<(), Failure> {
    while let Some(error) = stopped.run_until_cancelled(server.exited()).await {
        report(&error);
        tracing::warn!("nats-server {name} ended; starting it again");
        while let Some(Err(error)) = stopped.run_until_cancelled(server.restart()).await {
            report(&error);
            stopped.run_until_cancelled(sleep(PAUSE)).await;
        }
        if let Some(pid) = server.pid() {
            tracing::info!("nats-server {name} runs again as process {pid}");
        }
    }
    Ok(server.stop().await?)
}
