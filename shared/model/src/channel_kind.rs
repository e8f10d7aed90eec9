//! The channels by which messages go to users who are not connected. Catalogs name them, a delivery that waits keeps the name,
//! and each kind of target belongs to one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A way to users besides their connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// An HTTP request to the tenant's or the user's endpoint.
    Webhook,
    /// E-mail.
    Email,
    /// Amazon SNS: a topic, a phone number, a platform endpoint.
    Sns,
    /// The push service of a browser.
    WebPush,
}

impl ChannelKind {
    /// All channels.
    pub const ALL: [Self; 4] = [Self::Webhook, Self::Email, Self::Sns, Self::WebPush];

    /// The word in catalogs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::Sns => "sns",
            Self::WebPush => "web_push",
        }
    }
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for ChannelKind {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|channel| channel.as_str() == text).ok_or_else(|| UnknownChannel(text.to_owned()))
    }
}

/// A word that is no channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("channel {0:?} is none of webhook, email, sns, web_push")]
pub struct UnknownChannel(String);
