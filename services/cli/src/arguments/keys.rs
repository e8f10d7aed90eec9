//! `tidings keys …`.

use clap::{Args, Subcommand};

use super::Grounds;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an API key and print it; it is shown this once and stored nowhere
    #[command(
        after_long_help = "Example:\n  tidings keys create --tenant ops --event 'incident.*' --reason 'cron jobs'"
    )]
    Create(NewKey),
    /// List API keys: what they are bound to, who made them, which are revoked
    #[command(after_long_help = "Example:\n  tidings keys ls --tenant ops --json")]
    Ls {
        /// The tenant
        #[arg(long)]
        tenant: String,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Revoke an API key: all gateways refuse it within a second, for good
    #[command(
        after_long_help = "Example:\n  tidings keys revoke --tenant ops --id 0123456789abcdef --reason leaked"
    )]
    Revoke {
        /// The tenant
        #[arg(long)]
        tenant: String,
        /// The key's id, as ls shows it
        #[arg(long)]
        id: String,
        #[command(flatten)]
        grounds: Grounds,
    },
}

/// A new API key.
#[derive(Debug, Args)]
pub(crate) struct NewKey {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
    /// An event that it may publish: incident.created, incident.*, or * for all; may be given several times
    #[arg(long, required = true, value_name = "EVENT")]
    pub(crate) event: Vec<String>,
    /// The CloudEvents source that its events have [default: any]
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// How long it is valid, such as 90d [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) expires_in: Option<std::time::Duration>,
    #[command(flatten)]
    pub(crate) grounds: Grounds,
}
