//! `tidings contacts …`.

use clap::Subcommand;

use super::UserSelector;

#[derive(Debug, Subcommand)]
pub(crate) enum ContactCommand {
    /// Show a user's contacts, as much of each as lets its owner recognise it
    #[command(after_long_help = "Example:\n  tidings contacts show --tenant ops --user ada")]
    Show {
        #[command(flatten)]
        user: UserSelector,
    },
    /// Set contacts of the given kinds, in the place of what there was; kinds that are not given stay
    #[command(
        after_long_help = "Example:\n  tidings contacts set --tenant ops --user ada --data '{\"email\":[\"ada@example.com\"]}'\n\nMembers: email, phone_number, sns_endpoint, sns_topic, webhook (url, keys), web_push (device, endpoint, keys).\nAn empty list removes."
    )]
    Set {
        #[command(flatten)]
        user: UserSelector,
        /// The contacts: JSON, @FILE, or - for standard input
        #[arg(long, value_name = "JSON|@FILE|-")]
        data: String,
    },
    /// Forget all contacts of a user
    #[command(after_long_help = "Example:\n  tidings contacts forget --tenant ops --user ada")]
    Forget {
        #[command(flatten)]
        user: UserSelector,
    },
    /// Encrypt a tenant's contacts with the first of the configured keys, after which the others are not needed
    #[command(after_long_help = "Example:\n  tidings contacts reseal --tenant ops")]
    Reseal {
        /// The tenant
        #[arg(long)]
        tenant: String,
    },
}
