//! The command line of `tidings projector`.
#![allow(rustdoc::invalid_html_tags, reason = "these texts are written for a terminal")]

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct ProjectorOptions {
    /// Without a subcommand, the projector starts
    #[command(subcommand)]
    pub(crate) command: Option<ProjectorCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectorCommand {
    /// Rebuild a tenant's envelopes with the current catalogs; delivery continues meanwhile
    #[command(after_long_help = "Example:\n  tidings projector rebuild --tenant ops --since 7d --dry-run")]
    Rebuild(RebuildOptions),
    /// Move a tenant's envelopes to another shard; its clients are asked to reconnect
    #[command(after_long_help = "Example:\n  tidings projector move --tenant ops --to 1")]
    Move(MoveOptions),
    /// Cancel a rebuild or a move; the tenant's current envelopes stay
    #[command(after_long_help = "Example:\n  tidings projector cancel --tenant ops")]
    Cancel {
        /// The tenant
        #[arg(long)]
        tenant: String,
    },
    /// List in which shard each tenant's envelopes are, since when, and what is in progress
    #[command(after_long_help = "Example:\n  tidings projector ls --json")]
    Ls {
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RebuildOptions {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
    /// Only events stored since then, RFC 3339 or a span such as 2h or 7d; older envelopes stay as they are
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Write nothing; show what would differ with the catalogs of this configuration
    #[arg(long, conflicts_with = "detach")]
    pub(crate) dry_run: bool,
    /// The result of --dry-run as one JSON object
    #[arg(long, requires = "dry_run")]
    pub(crate) json: bool,
    /// Request it and do not wait
    #[arg(long)]
    pub(crate) detach: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MoveOptions {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
    /// The shard, 0 to 63
    #[arg(long, value_name = "SHARD", value_parser = clap::value_parser!(u16).range(0..64))]
    pub(crate) to: u16,
    /// Request it and do not wait
    #[arg(long)]
    pub(crate) detach: bool,
}
