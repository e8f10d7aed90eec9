//! `tidings doctor`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct DoctorOptions {
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The process whose NATS user and permissions the configuration has [default: that which they fit]
    #[arg(long = "as", value_enum, value_name = "PROCESS")]
    pub(crate) role: Option<RoleName>,
    /// Where clients connect [default: the address in gateway.listen, wss:// where it speaks TLS]
    #[arg(long, value_name = "ws://HOST:PORT/api/ws")]
    pub(crate) url: Option<String>,
    /// Certificates to trust for wss:// and https://, PEM [default: the system's root certificates]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// A token to connect with [default: one signed with the configured secret]
    #[arg(long, env = "TIDINGS_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The tenant to connect for [default: the first one that is served]
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// A nats-server's monitoring; may be given several times [default: port 8222 of the servers in nats.url]
    #[arg(long, value_name = "http://HOST:PORT")]
    pub(crate) monitor: Vec<String>,
}

/// A process with a NATS user of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    Gateway,
    Projector,
    Dispatcher,
}
