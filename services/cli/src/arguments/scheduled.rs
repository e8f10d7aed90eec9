//! The command line of `tidings scheduled`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduledCommand {
    /// List events that are delivered later: event, source, id, and when they are due
    #[command(after_long_help = "Example:\n  tidings scheduled ls --tenant ops --json")]
    Ls {
        /// The tenant
        #[arg(long)]
        tenant: String,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Cancel an event that is delivered later; does nothing if it was delivered already
    #[command(
        after_long_help = "Example:\n  tidings scheduled cancel --tenant ops --source tidings-cli incident.created 4711"
    )]
    Cancel {
        /// The tenant
        #[arg(long)]
        tenant: String,
        /// The event's source, as the list shows it [default: none]
        #[arg(long)]
        source: Option<String>,
        /// <entity>.<action>, such as incident.created
        event: String,
        /// The event's id, as the list shows it
        id: String,
    },
}
