//! The command line of `tidings explain`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
    /// The user
    #[arg(long)]
    pub(crate) user: String,
    /// The event's id
    #[arg(long)]
    pub(crate) event: String,
    /// The event's source, if several sources have an event with this id
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
