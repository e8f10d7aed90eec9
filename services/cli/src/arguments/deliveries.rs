//! The command line of `tidings deliveries`.

use clap::Subcommand;

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
}
