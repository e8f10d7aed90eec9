//! The command line of `tidings rejected`.

use clap::{Args, Subcommand};
use tidings_catalog::Reason;

#[derive(Debug, Subcommand)]
pub(crate) enum RejectedCommand {
    /// List rejected events: position, tenant, event, reason, attempts, last seen
    #[command(after_long_help = "Example:\n  tidings rejected ls --tenant ops --event incident.created")]
    Ls {
        /// Only this tenant's, which may be one that does not exist [default: all]
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        filter: RejectedFilter,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Show one rejected event with its headers and its data
    #[command(after_long_help = "Example:\n  tidings rejected show 18f3a0c2b41-42")]
    Show {
        /// The tenant; fails if the event is another tenant's
        #[arg(long)]
        tenant: Option<String>,
        /// The event's position, as the list shows it
        position: String,
    },
    /// Publish rejected events again, after the catalog or the producer has been fixed
    #[command(after_long_help = "Example:\n  tidings rejected retry --tenant ops --reason schema-violation")]
    Retry(RejectedSelection),
    /// Remove rejected events permanently
    #[command(after_long_help = "Example:\n  tidings rejected drop 18f3a0c2b41-42")]
    Drop(RejectedSelection),
}

/// Selects rejected events.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub(crate) struct RejectedSelection {
    /// Only this tenant's, which may be one that does not exist [default: all]
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Positions, as the list shows them
    #[arg(value_name = "POSITION", group = "which", conflicts_with_all = ["reason", "event", "all"])]
    pub(crate) positions: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: RejectedFilter,
    /// All of them
    #[arg(long, group = "which")]
    pub(crate) all: bool,
}

const REASONS: [&str; Reason::ALL.len()] = {
    let mut words = [""; Reason::ALL.len()];
    let mut index = 0;
    while index < words.len() {
        words[index] = Reason::ALL[index].as_str();
        index += 1;
    }
    words
};

#[derive(Debug, Args)]
pub(crate) struct RejectedFilter {
    /// Only those with this reason, such as schema-violation
    #[arg(long, group = "which", value_parser = REASONS)]
    pub(crate) reason: Option<String>,
    /// Only this event, such as incident.created
    #[arg(long, group = "which")]
    pub(crate) event: Option<String>,
}
