//! `tidings consumers …`.

use clap::{Args, Subcommand};

use super::ListOptions;

#[derive(Debug, Subcommand)]
pub(crate) enum ConsumerCommand {
    /// List consumers: position, pending envelopes, last seen, connected gateway
    #[command(after_long_help = "Example:\n  tidings consumers ls --tenant ops --user ada --json")]
    Ls(ListOptions),
    /// Show one consumer with its grants, subscriptions and filters
    #[command(after_long_help = "Example:\n  tidings consumers show --tenant ops --user ada --device phone")]
    Show {
        #[command(flatten)]
        consumer: ConsumerSelector,
    },
    /// Move a consumer forward or back; it counts from the device's next connection on
    #[command(
        after_long_help = "Example:\n  tidings consumers reset --tenant ops --user ada --device phone --to all"
    )]
    Reset {
        #[command(flatten)]
        consumer: ConsumerSelector,
        /// `new`, `all`, a sequence, or a position such as 18f3a0c2b41-42
        #[arg(long)]
        to: String,
    },
    /// Remove a consumer: its device then counts as never seen
    #[command(after_long_help = "Example:\n  tidings consumers rm --tenant ops --user ada --device phone")]
    Rm {
        #[command(flatten)]
        consumer: ConsumerSelector,
    },
}

/// Selects a consumer.
#[derive(Debug, Args)]
pub(crate) struct ConsumerSelector {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
    /// The user
    #[arg(long)]
    pub(crate) user: String,
    /// The user's device
    #[arg(long, default_value = "default")]
    pub(crate) device: String,
}
