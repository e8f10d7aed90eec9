//! `tidings preferences …`.

use clap::{Args, Subcommand};

use super::UserSelector;

#[derive(Debug, Subcommand)]
pub(crate) enum PreferencesCommand {
    /// Show what a user has set, as JSON
    #[command(after_long_help = "Example:\n  tidings preferences show --tenant ops --user ada")]
    Show {
        #[command(flatten)]
        user: UserSelector,
    },
    /// Change some of what a user has set, and show all of it
    #[command(
        after_long_help = "Examples:\n  tidings preferences set --tenant ops --user ada --off notification/email\n  \
        tidings preferences set --tenant ops --user ada --quiet-hours 22:00-07:00 --time-zone Europe/Berlin\n  \
        tidings preferences set --tenant ops --user ada --mute-until 2026-01-17T08:00:00Z"
    )]
    Set {
        #[command(flatten)]
        user: UserSelector,
        #[command(flatten)]
        changes: PreferenceChanges,
    },
}

/// What is to be changed.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct PreferenceChanges {
    /// A category and a channel to switch on; may be given several times
    #[arg(long, value_name = "CATEGORY/CHANNEL")]
    pub(crate) on: Vec<String>,
    /// A category and a channel to switch off; may be given several times
    #[arg(long, value_name = "CATEGORY/CHANNEL")]
    pub(crate) off: Vec<String>,
    /// When messages wait, such as 22:00-07:00
    #[arg(long, value_name = "FROM-TO", requires = "time_zone")]
    pub(crate) quiet_hours: Option<String>,
    /// The time zone of the quiet hours, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", requires = "quiet_hours")]
    pub(crate) time_zone: Option<String>,
    /// No quiet hours any more
    #[arg(long, conflicts_with = "quiet_hours")]
    pub(crate) no_quiet_hours: bool,
    /// Send nothing until then, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub(crate) mute_until: Option<String>,
    /// Not muted any more
    #[arg(long, conflicts_with = "mute_until")]
    pub(crate) unmute: bool,
}
