//! `tidings users …`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Remove all envelopes addressed to a user, and the user's consumers
    #[command(after_long_help = "Example:\n  tidings users purge --tenant ops --user ada")]
    Purge {
        #[command(flatten)]
        user: UserSelector,
    },
    /// Show whether a user is disabled, which tokens are revoked, and the user's devices
    #[command(after_long_help = "Example:\n  tidings users show --tenant ops --user ada")]
    Show {
        #[command(flatten)]
        user: UserSelector,
    },
    /// Disable a user: gateways close the user's connections and refuse new ones
    #[command(
        after_long_help = "Example:\n  tidings users disable --tenant ops --user ada --reason 'has left'"
    )]
    Disable {
        #[command(flatten)]
        user: UserSelector,
        #[command(flatten)]
        grounds: Grounds,
    },
    /// Enable a disabled user; tokens that were revoked stay revoked
    #[command(after_long_help = "Example:\n  tidings users enable --tenant ops --user ada")]
    Enable {
        #[command(flatten)]
        user: UserSelector,
    },
    /// Revoke all tokens that were issued to a user up to now; tokens issued later are accepted
    #[command(
        after_long_help = "Example:\n  tidings users revoke --tenant ops --user ada --reason 'a lost phone'"
    )]
    Revoke {
        #[command(flatten)]
        user: UserSelector,
        #[command(flatten)]
        grounds: Grounds,
    },
}

/// Selects a user.
#[derive(Debug, Args)]
pub(crate) struct UserSelector {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
    /// The user
    #[arg(long)]
    pub(crate) user: String,
}

/// The reason for an action on a user.
#[derive(Debug, Args)]
pub(crate) struct Grounds {
    /// The reason, for later review; the user does not see it
    #[arg(long, value_parser = parse_reason)]
    pub(crate) reason: Option<String>,
}

/// Applies the same limit as the HTTP API.
fn parse_reason(text: &str) -> Result<String, String> {
    const MOST: usize = 500;
    if text.len() <= MOST {
        Ok(text.to_owned())
    } else {
        Err(format!("it has {} bytes, expected at most {MOST}", text.len()))
    }
}
