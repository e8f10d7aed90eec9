//! What became of a delivery.

use serde::{Deserialize, Serialize, Serializer};
use tidings_model::DeliveryName;
use tidings_model::json::present;
use time::OffsetDateTime;

use crate::nats::Delivered;
use crate::nats::record::{self, Record};

/// What became of a delivery, as microservices and operators read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The id under which the receiver knows the delivery, the same over all attempts.
    pub delivery: String,
    /// The id of the event.
    pub event: String,
    /// The source of the event.
    #[serde(deserialize_with = "present")]
    pub source: Option<String>,
    /// The message, by its slot.
    pub message: String,
    /// The channel.
    pub channel: String,
    /// What became of it.
    pub status: Status,
    /// Why, for people.
    #[serde(deserialize_with = "present")]
    pub reason: Option<String>,
    /// The number of attempts, this one included.
    pub attempts: u32,
    /// Whether this attempt repeats one of which it is not known whether it reached the receiver.
    pub is_repeated: bool,
    /// What the receiver calls the delivery.
    #[serde(deserialize_with = "present")]
    pub reference: Option<String>,
    /// The contacts that have it, by their ids.
    pub reached: Vec<String>,
    /// When the next attempt is due.
    #[serde(
        serialize_with = "tidings_model::serialize_optional_time",
        deserialize_with = "time::serde::rfc3339::option::deserialize"
    )]
    pub next: Option<OffsetDateTime>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// An attempt is made.
    Attempted,
    /// An attempt failed, or quiet hours hold it back, and another one follows.
    Delayed,
    /// The receiver has taken it over.
    Sent,
    /// It was not needed, or there is nowhere to send it.
    Skipped,
    /// It was not sent, and no attempt follows.
    Failed,
    /// The sender ended in the middle of an attempt and of its repetition: the receiver may have it.
    Unknown,
}

impl Status {
    /// The word in facts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attempted => "attempted",
            Self::Delayed => "delayed",
            Self::Sent => "sent",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nothing follows, unless somebody retries it.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Attempted | Self::Delayed)
    }

    /// Whether the delivery can be made again: nothing follows, and the receiver is not known to have it.
    #[must_use]
    pub fn may_be_retried(self) -> bool {
        matches!(self, Self::Skipped | Self::Failed | Self::Unknown)
    }
}

impl Record for Fact {
    const VERSION: u64 = 1;
}

/// A fact as it lies in the stream.
#[derive(Debug, Clone, Serialize)]
pub struct StoredFact {
    /// The user.
    pub user: String,
    /// The name of the delivery, besides the user.
    #[serde(serialize_with = "shown")]
    pub name: DeliveryName,
    /// When it was stored.
    #[serde(serialize_with = "tidings_model::serialize_time")]
    pub at: OffsetDateTime,
    /// The fact.
    #[serde(flatten)]
    pub fact: Fact,
}

impl StoredFact {
    pub(super) fn read(delivered: &Delivered) -> Option<Self> {
        let name = DeliveryName::parse(&delivered.message.subject)?;
        let fact = record::decode(&delivered.message.payload).ok()?;
        Some(Self { user: name.user.clone(), name, at: delivered.time, fact })
    }
}

pub(super) fn shown<S: Serializer>(name: &DeliveryName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}
