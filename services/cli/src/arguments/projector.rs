//! What `tidings projector` is told.
#![allow(rustdoc::invalid_html_tags, reason = "these texts are written for a terminal")]

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct ProjectorOptions {
    /// Without one, the projector starts
    #[command(subcommand)]
    pub(crate) command: Option<ProjectorCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectorCommand {
    /// Make a tenant's envelopes anew with the catalogs that run, while everybody goes on
    Rebuild(RebuildOptions),
    /// Move a tenant's envelopes to another shard; who is connected is asked to connect again
    Move(MoveOptions),
    /// End what rebuild or move has asked for; what was there before stays
    Cancel {
        /// The tenant
        #[arg(long)]
        tenant: String,
    },
    /// List where tenants' envelopes are, since when, and what is being made anew
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
    /// Only what happened since then, RFC 3339 or a span such as 2h or 7d; what is older stays as it is
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Write nothing; show what the catalogs of this configuration would make differently
    #[arg(long, conflicts_with = "detach")]
    pub(crate) dry_run: bool,
    /// The result of --dry-run as one JSON object
    #[arg(long, requires = "dry_run")]
    pub(crate) json: bool,
    /// Ask for it and do not wait
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
    /// Ask for it and do not wait
    #[arg(long)]
    pub(crate) detach: bool,
}
