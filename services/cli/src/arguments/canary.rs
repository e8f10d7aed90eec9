//! `tidings canary`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct CanaryOptions {
    /// The tenant; may be given several times
    #[arg(long, required = true)]
    pub(crate) tenant: Vec<String>,
    /// Where clients connect [default: the address in gateway.listen, wss:// where it speaks TLS]
    #[arg(long, value_name = "ws://HOST:PORT/api/ws")]
    pub(crate) url: Option<String>,
    /// Certificates to trust for wss://, PEM [default: the system's root certificates]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// A file with a token of the user tidings-canary, read before each connection [default: one signed with the
    /// configured secret]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The time between two events
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(crate) interval: Duration,
}
