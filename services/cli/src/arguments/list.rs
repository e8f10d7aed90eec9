//! What the lists of a tenant's connections, consumers and deliveries are asked for.

use clap::Args;

/// A tenant, or one of its users.
#[derive(Debug, Args)]
pub(crate) struct Scope {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
    /// Only this user's
    #[arg(long)]
    pub(crate) user: Option<String>,
}

/// The arguments of `ls`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    pub(crate) of: Scope,
    /// One JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}
