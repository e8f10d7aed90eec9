//! What is to be known when a delivery is due, and how far envelopes were read.

use serde::{Deserialize, Serialize};
use tidings_model::json::present;
use tidings_model::{DeliveryName, EnvelopeSubject, Origin, Position, headers};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::fact::shown;
use crate::nats::Delivered;
use crate::nats::record::{self, Record};

/// A delivery that waits, or is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The subject of the envelope when it was read.
    pub subject: String,
    /// Its sequence then.
    pub sequence: u64,
    /// Its origin, `<epoch>-<sequence>/<message>/<part>`.
    pub origin: String,
    /// The id of its event.
    pub event: String,
    /// The source of its event.
    #[serde(deserialize_with = "present")]
    pub source: Option<String>,
    /// The channel.
    pub channel: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// The decision that somebody wants to be made again, if that is why it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retried>,
}

/// A decision that is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retried {
    /// The sequence of the fact with the decision. If another one lies behind it, the retry was handled already.
    pub fact: u64,
    /// How many attempts had been made until then: the plan of further ones begins again behind them.
    pub attempts: u32,
}

impl Pending {
    /// The envelope's subject besides the place, and its origin. `None` if they are not those of an envelope.
    #[must_use]
    pub fn envelope(&self) -> Option<(EnvelopeSubject, Origin)> {
        let (subject, _) = EnvelopeSubject::parse(&self.subject)?;
        Some((subject, self.origin.parse().ok()?))
    }
}

impl Record for Pending {
    const VERSION: u64 = 1;
}

/// A delivery that waits, as shown to operators.
#[derive(Debug, Clone, Serialize)]
pub struct PendingDelivery {
    /// The user.
    pub user: String,
    /// The name of the delivery, besides the user.
    #[serde(serialize_with = "shown")]
    pub name: DeliveryName,
    /// `waiting`, where facts have what became of it.
    pub status: &'static str,
    /// When it is due.
    #[serde(serialize_with = "tidings_model::serialize_time")]
    pub due: OffsetDateTime,
    /// The id of the event.
    pub event: String,
    /// The message, by its slot.
    pub message: String,
    /// The channel.
    pub channel: String,
    /// How many attempts were made.
    pub attempts: u32,
}

impl PendingDelivery {
    pub(super) fn read(delivered: &Delivered) -> Option<Self> {
        let message = &delivered.message;
        let at = message.headers.as_ref()?.get(headers::SCHEDULE)?.as_str().strip_prefix("@at ")?;
        let due = OffsetDateTime::parse(at, &Rfc3339).ok()?;
        let name = DeliveryName::parse(&message.subject)?;
        let pending: Pending = record::decode(&message.payload).ok()?;
        let (subject, _) = pending.envelope()?;
        let Pending { event, channel, attempts, .. } = pending;
        let (user, status, message) = (name.user.clone(), "waiting", subject.slot);
        Some(Self { user, name, status, due, event, message, channel, attempts })
    }
}

/// How far the envelopes of a shard were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Through {
    /// The position of the last one, in the epoch of the stream.
    pub position: Position,
    /// When it was stored; `None` if none was read yet.
    #[serde(with = "time::serde::rfc3339::option")]
    pub stored_at: Option<OffsetDateTime>,
}

impl Record for Through {
    const VERSION: u64 = 1;
}
