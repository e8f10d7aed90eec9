//! The command line of `tidings deliveries`.

use clap::{ArgGroup, Args, Subcommand};

use super::{ListOptions, Scope};

#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesCommand {
    /// List deliveries: what became of each, or when it is due
    #[command(after_long_help = "Example:\n  tidings deliveries ls --tenant ops --user ada")]
    Ls(ListOptions),
    /// Show all that is known of the deliveries of an event, in order: each attempt and its outcome
    #[command(after_long_help = "Example:\n  tidings deliveries show --tenant ops inc-1")]
    Show {
        #[command(flatten)]
        of: Scope,
        /// The event's id, as the list shows it
        event: String,
    },
    /// Make deliveries again that were not sent; one that was received meanwhile is skipped
    #[command(after_long_help = "Example:\n  tidings deliveries retry --tenant ops --user ada")]
    Retry(DeliveriesSelection),
}

/// Selects deliveries that were not sent.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true))]
pub(crate) struct DeliveriesSelection {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
    /// Only those to this user
    #[arg(long, group = "which")]
    pub(crate) user: Option<String>,
    /// Only those of this event, by its id
    #[arg(long, group = "which")]
    pub(crate) event: Option<String>,
    /// Only the one that the receiver knows under this id
    #[arg(long, group = "which", value_name = "ID")]
    pub(crate) delivery: Option<String>,
    /// Only those with this status; the receiver may have one that is `unknown`
    #[arg(long, default_value = "failed", value_parser = ["failed", "unknown", "skipped"])]
    pub(crate) status: String,
    /// All of them
    #[arg(long, group = "which", conflicts_with_all = ["user", "event", "delivery"])]
    pub(crate) all: bool,
}
