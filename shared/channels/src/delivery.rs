//! One thing to send to one target.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidings_model::{Content, Tenant};

use crate::{DeliveryId, Target};

/// One thing to send to one target. All attempts have the same delivery, except for its time to live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Identifies it to the receiver, over all attempts.
    pub id: DeliveryId,
    /// The tenant that sends it.
    pub tenant: Tenant,
    /// The user it is meant for; none if it is for the tenant's own systems.
    pub user: Option<String>,
    /// Where it goes.
    pub target: Target,
    /// What is sent.
    pub content: Content,
    /// How soon a sleeping device should wake up for it.
    #[serde(default)]
    pub urgency: Urgency,
    /// How long a push service may keep it for a device that it cannot reach, from this attempt on.
    pub time_to_live: Duration,
    /// Deliveries with the same value replace each other while a device cannot be reached. Any text.
    #[serde(default)]
    pub collapse: Option<String>,
    /// The URL with which the user unsubscribes by one click (RFC 8058), for e-mail.
    #[serde(default)]
    pub unsubscribe: Option<String>,
}

/// How soon a sleeping device should wake up (RFC 8030, section 5.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// On power and Wi-Fi: advertisements.
    VeryLow,
    /// On power or Wi-Fi: updates of a topic.
    Low,
    /// On neither: chats, calendars.
    #[default]
    Normal,
    /// With a low battery: calls, time-sensitive alerts.
    High,
}

impl Urgency {
    /// Returns its name in the header `Urgency`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VeryLow => "very-low",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}
