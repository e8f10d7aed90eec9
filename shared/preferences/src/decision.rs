//! Whether a message is sent to a user by a channel now, later, or not.

use std::collections::{BTreeMap, BTreeSet};

use tidings_model::{ChannelKind, rfc3339};
use time::OffsetDateTime;

use crate::{Category, Preferences};

/// What a catalog says for users who have set nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The channels that are off in a category until the user switches them on.
    pub off: BTreeMap<Category, BTreeSet<ChannelKind>>,
}

impl Defaults {
    fn is_on(&self, category: &str, channel: ChannelKind) -> bool {
        self.off.get(category).is_none_or(|off| !off.contains(&channel))
    }
}

/// What would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'q> {
    /// The category of the message.
    pub category: &'q Category,
    /// By which channel.
    pub channel: ChannelKind,
    /// Whether it passes whatever the user has set.
    pub is_critical: bool,
}

/// What to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Send it.
    Send,
    /// Do not send it, for this reason, which people read.
    Skip(String),
    /// Ask again at this time.
    Wait {
        /// When quiet hours are over.
        until: OffsetDateTime,
        /// Why, for people.
        reason: String,
    },
}

impl Preferences {
    /// Decides about a message. What is off or muted is not sent, even if that ends with the quiet hours.
    #[must_use]
    pub fn decide(&self, defaults: &Defaults, question: Question<'_>, now: OffsetDateTime) -> Decision {
        let Question { category, channel, is_critical } = question;
        if is_critical {
            return Decision::Send;
        }
        match self.is_on(category.as_str(), channel) {
            Some(false) => {
                return Decision::Skip(format!("the user has switched off {channel} for {category}"));
            }
            None if !defaults.is_on(category.as_str(), channel) => {
                let reason = format!(
                    "{channel} is off for {category} by the catalog, and the user has not switched it on"
                );
                return Decision::Skip(reason);
            }
            _ => {}
        }
        if let Some(until) = self.muted_until.filter(|until| *until > now) {
            return Decision::Skip(format!("the user is muted until {}", rfc3339(until)));
        }
        let quiet = self.quiet_hours.as_ref().and_then(|hours| Some((hours, hours.end(now)?)));
        quiet.map_or(Decision::Send, |(hours, until)| Decision::Wait {
            until,
            reason: format!("quiet hours, {hours}"),
        })
    }
}
