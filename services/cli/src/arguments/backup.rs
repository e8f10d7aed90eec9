//! The command lines of `tidings backup` and `tidings restore`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct BackupOptions {
    /// Where the backup is written; there must be nothing yet
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Check that the backup in this folder is whole; needs no NATS
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreOptions {
    /// The backup
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Restore events up to this time (RFC 3339), or up to the event with this id, and project all of them again
    #[arg(long, value_name = "TIME|EVENT")]
    pub(crate) until: Option<String>,
    /// Users who were purged after the backup, and whose envelopes must not come back: <tenant>/<user>, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) purged: Option<PathBuf>,
    /// Credentials of the account that sends the streams' parts, where streams have accounts of their own: restore.creds
    #[arg(long, value_name = "FILE")]
    pub(crate) restore_credentials: Option<PathBuf>,
}
