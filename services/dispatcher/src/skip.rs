//! Why a delivery is skipped: a kind for figures, a sentence for people.

use std::fmt;

/// Why a delivery is not needed, or cannot go anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Skip {
    /// This device has acknowledged the message.
    Received(String),
    /// This device is connected, which is enough for the fallback.
    Connected(String),
    /// The user does not want it.
    Unwanted(String),
    /// The message has expired, or was replaced or purged.
    Gone,
    /// The tenant has no catalog here.
    NotServed,
    /// The catalog has changed.
    NoFallback,
    /// The channel is not configured.
    NoChannel,
    /// The user has no target.
    NoTarget,
}

impl Skip {
    /// All kinds.
    pub(crate) const KINDS: [&str; 8] =
        ["received", "connected", "unwanted", "gone", "not_served", "no_fallback", "no_channel", "no_target"];

    /// The word in figures.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Received(_) => "received",
            Self::Connected(_) => "connected",
            Self::Unwanted(_) => "unwanted",
            Self::Gone => "gone",
            Self::NotServed => "not_served",
            Self::NoFallback => "no_fallback",
            Self::NoChannel => "no_channel",
            Self::NoTarget => "no_target",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Received(device) => return write!(formatter, "received on device {device:?}"),
            Self::Connected(device) => return write!(formatter, "device {device:?} is connected"),
            Self::Unwanted(reason) => reason,
            Self::Gone => "the message is not there any more: it has expired, or was replaced or purged",
            Self::NotServed => "no catalog serves the tenant",
            Self::NoFallback => "the catalog does not have this fallback any more",
            Self::NoChannel => "the channel is not configured",
            Self::NoTarget => "there is nowhere to send it to",
        };
        formatter.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted() {
        let device = || "phone".to_owned();
        let all = [
            Skip::Received(device()),
            Skip::Connected(device()),
            Skip::Unwanted("muted".to_owned()),
            Skip::Gone,
            Skip::NotServed,
            Skip::NoFallback,
            Skip::NoChannel,
            Skip::NoTarget,
        ];
        assert_eq!(all.map(|skip| skip.kind()), Skip::KINDS);
        assert_eq!(Skip::Received(device()).to_string(), "received on device \"phone\"");
    }
}
