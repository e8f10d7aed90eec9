//! Errors of starting and stopping a nats-server, with advice.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::binary::{MINIMUM_VERSION, Version};

/// Why a nats-server could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no nats-server in any of the searched places.
    #[error(
        "no nats-server found on the PATH or in .tools/bin: run `sh .tools/install nats-server`, \
         or set TIDINGS_NATS_SERVER to a nats-server {MINIMUM_VERSION} or later"
    )]
    NotFound,

    /// The only nats-server found is older than [`MINIMUM_VERSION`].
    #[error(
        "{} is nats-server {found}, but {MINIMUM_VERSION} or later is needed: run `sh .tools/install nats-server`, \
         or set TIDINGS_NATS_SERVER to a newer one", path.display()
    )]
    TooOld {
        /// The binary.
        path: PathBuf,
        /// The version that it reports.
        found: Version,
    },

    /// The file does not run, or is not a nats-server.
    #[error(
        "{} does not report a version as nats-server does ({detail}): \
         set TIDINGS_NATS_SERVER to a nats-server {MINIMUM_VERSION} or later, or unset it", path.display()
    )]
    NotANatsServer {
        /// The file.
        path: PathBuf,
        /// What it did instead.
        detail: String,
    },

    /// Another process listens on the requested port.
    #[error("port {port} is in use by another process: stop that process or choose another port for NATS")]
    PortBusy {
        /// The port.
        port: u16,
    },

    /// Another server, of this process or another one, uses the folder.
    #[error("{} is in use by another nats-server that Tidings started: stop it or choose another data folder", folder.display())]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
    },

    /// A file or folder of the server could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The attempted action, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },

    /// The operating system refused to start or signal the process.
    #[error("cannot {action} the process of nats-server")]
    Process {
        /// The attempted action, as a verb.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },

    /// The process ended unexpectedly.
    #[error("nats-server ended by itself ({status}); the end of {}:\n{log}", path.display())]
    Exited {
        /// How it ended, as the operating system reports it.
        status: String,
        /// The log file.
        path: PathBuf,
        /// Its last lines.
        log: String,
    },

    /// The process runs, but JetStream was not ready in time.
    #[error("nats-server does not serve JetStream after {within:?}; the end of {}:\n{log}", path.display())]
    NotReady {
        /// How long the start was given.
        within: Duration,
        /// The log file.
        path: PathBuf,
        /// Its last lines.
        log: String,
    },

    /// The process did not stop in time, and was killed.
    #[error("nats-server did not stop within {within:?} and was killed")]
    Stuck {
        /// How long the stop was given.
        within: Duration,
    },
}
