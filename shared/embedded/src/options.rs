//! Options for starting a nats-server.

use std::path::PathBuf;
use std::time::Duration;

/// Options of a server.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) folder: PathBuf,
    pub(crate) port: Option<u16>,
    pub(crate) config: Vec<String>,
    pub(crate) binary: Option<PathBuf>,
    pub(crate) start_within: Duration,
    pub(crate) stop_within: Duration,
}

impl Options {
    /// A server with its data, configuration and log in `folder`, which is created if it is missing, on a free port.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            port: None,
            config: Vec::new(),
            binary: None,
            start_within: Duration::from_secs(30),
            stop_within: Duration::from_secs(10),
        }
    }

    /// Listens on this port of 127.0.0.1; 0, the default, stands for a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = (port != 0).then_some(port);
        self
    }

    /// Adds lines in nats-server's configuration language, such as `max_payload: 2MB` or `jetstream { sync_interval:
    /// always }`. They cannot change the address, the port or the data folder.
    #[must_use]
    pub fn config(mut self, lines: impl Into<String>) -> Self {
        self.config.push(lines.into());
        self
    }

    /// Runs this binary instead of the one that [`Binary::find`](crate::Binary::find) finds.
    #[must_use]
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// How long a start may take, including recovery of the data. The default is 30 seconds.
    #[must_use]
    pub fn start_within(mut self, bound: Duration) -> Self {
        self.start_within = bound;
        self
    }

    /// How long the server may take to stop before it is killed. The default is 10 seconds.
    #[must_use]
    pub fn stop_within(mut self, bound: Duration) -> Self {
        self.stop_within = bound;
        self
    }
}
