//! Envelopes: messages that the projector renders once, as final JSON bytes.
//!
//! The subject of an envelope contains all that routing needs. So a gateway can index envelopes without reading their
//! bodies, and `Nats-Rollup: sub` keeps only the newest per key.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use time::OffsetDateTime;

use crate::subject::Token;
use crate::{Address, Attributes, Place, Position, ShardNumber, Tenant, subject};

/// How long an envelope is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Class {
    /// Kept for devices that are not connected.
    #[default]
    Durable,
    /// Only the newest one per address and key is kept, e.g. progress.
    Latest,
    /// Only for devices that are connected, e.g. metrics.
    Ephemeral,
}

impl Class {
    /// The class in catalogs and subjects.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Latest => "latest",
            Self::Ephemeral => "ephemeral",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Durable, Self::Latest, Self::Ephemeral]
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| UnknownClass(text.to_owned()))
    }
}

/// A word that is not a delivery class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("delivery class {0:?} is none of durable, latest, ephemeral")]
pub struct UnknownClass(String);

/// The parts of an envelope's subject besides the place: `envelopes.<tenant>.<class>.<address kind>.<address
/// id>.<slot>.<key>` in generation 0 of shard 0, `envelopes_<shard>.<tenant>~<generation>.<class>. …` elsewhere.
///
/// The slot is the message type's name, or a name that several types share so that one `latest` key covers them all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnvelopeSubject {
    /// The tenant whose users may receive it.
    pub tenant: Tenant,
    /// Its class.
    pub class: Class,
    /// Its address.
    pub address: Address,
    /// Its slot.
    pub slot: String,
    /// Its key, of which it is the newest. Only `latest` envelopes, and ephemeral ones with a `max_rate`, have one.
    pub key: Option<String>,
}

/// The first token of subjects in shard 0.
const ROOT: &str = "envelopes";

impl EnvelopeSubject {
    /// The subject of all envelopes in a shard.
    #[must_use]
    pub fn all(shard: ShardNumber) -> String {
        format!("{}.>", shard.name(ROOT))
    }

    /// The subject of all envelopes of a tenant in a place.
    #[must_use]
    pub fn of(tenant: &Tenant, place: Place) -> String {
        format!("{}.{}.>", place.shard.name(ROOT), place.token(tenant))
    }

    /// The subject of all envelopes of one class of a tenant in a place.
    #[must_use]
    pub fn of_class(tenant: &Tenant, class: Class, place: Place) -> String {
        format!("{}.{}.{class}.>", place.shard.name(ROOT), place.token(tenant))
    }

    /// The subject of all envelopes at an address, of any class.
    #[must_use]
    pub fn at(tenant: &Tenant, address: &Address, place: Place) -> String {
        let (root, tenant) = (place.shard.name(ROOT), place.token(tenant));
        format!("{root}.{tenant}.*.{}.>", address.to_subject_tokens())
    }

    /// Returns the subject in a place.
    #[must_use]
    pub fn written_in(&self, place: Place) -> String {
        let Self { address, slot, key, .. } = self;
        let texts = address.as_str().len() + slot.len() + key.as_ref().map_or(1, String::len);
        // Room for the root, the tenant, the class and the dots. Encoded ids take more.
        subject::written(texts + 64, format_args!("{}", Placed { subject: self, place }))
    }

    /// Parses a subject. Returns `None` if it is not that of an envelope.
    #[must_use]
    pub fn parse(subject: &str) -> Option<(Self, Place)> {
        let mut tokens = subject.split('.');
        let shard = ShardNumber::of(tokens.next()?, ROOT)?;
        let (tenant, generation) = Place::parse_token(tokens.next()?)?;
        let class = tokens.next()?.parse().ok()?;
        let address = Address::from_subject_tokens(tokens.next()?, tokens.next()?)?;
        let slot = subject::decode(tokens.next()?)?;
        let key = match tokens.next()? {
            subject::ABSENT => None,
            token => Some(subject::decode(token)?),
        };
        let place = Place { shard, generation };
        tokens.next().is_none().then_some((Self { tenant, class, address, slot, key }, place))
    }
}

/// A subject in a place.
struct Placed<'s> {
    subject: &'s EnvelopeSubject,
    place: Place,
}

impl fmt::Display for Placed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, place } = self;
        formatter.write_str(ROOT)?;
        if place.shard != ShardNumber::default() {
            write!(formatter, "_{}", place.shard)?;
        }
        write!(
            formatter,
            ".{}.{}.{}.{}.{}.{}",
            place.token(&subject.tenant),
            subject.class,
            subject.address.kind(),
            Token(subject.address.id()),
            Token(Some(&subject.slot)),
            Token(subject.key.as_deref()),
        )
    }
}

/// Identifies an envelope by its event. The pair is unique and ascends along the stream as long as the epoch of
/// `EVENTS` stays the same. Written `<epoch>-<sequence>/<message>/<part>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The event's position in `EVENTS`.
    pub event: Position,
    /// The number of the message among those of the event, from 0. Envelopes of one message to several addresses share
    /// it, so that a connection with several of these addresses gets the message once.
    pub message: u32,
    /// The envelope's number among those of its event, from 0.
    pub part: u32,
}

/// An order that is the same in all generations of a tenant's envelopes.
pub type OriginOrder = (u64, u64, u32);

impl Origin {
    /// The order of the envelope within its generation: epoch and sequence of its event, and its part.
    #[must_use]
    pub fn order(self) -> OriginOrder {
        (self.event.epoch.0, self.event.sequence, self.part)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.event, self.message, self.part)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (event, rest) = text.split_once('/')?;
            let (message, part) = rest.split_once('/')?;
            Some(Self {
                event: event.parse().ok()?,
                message: message.parse().ok()?,
                part: part.parse().ok()?,
            })
        };
        read().ok_or_else(|| OriginError(text.chars().take(64).collect()))
    }
}

/// Text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("origin {0:?} is not of the form <epoch>-<sequence>/<message>/<part>, such as 18f3a0c2b41-42/0/3")]
pub struct OriginError(String);

/// A message on its way to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its subject.
    pub subject: EnvelopeSubject,
    /// The id of its event.
    pub event_id: String,
    /// The CloudEvents source of its event. Source and id identify the event.
    pub event_source: Option<String>,
    /// Its event and its number.
    pub origin: Origin,
    /// Its attributes, for filters.
    pub attributes: Attributes,
    /// When it expires. `None` means as long as the stream keeps it.
    pub expires_at: Option<OffsetDateTime>,
    /// The `traceparent` (W3C) of its event, if the producer gave one.
    pub trace_parent: Option<String>,
    /// The message: a JSON object in UTF-8.
    pub body: Bytes,
}

impl Envelope {
    /// Returns the source and the id of the event, `<source's length>/<source>/<id>`. The length shows where the source
    /// ends: source and id may contain slashes.
    #[must_use]
    pub fn event(&self) -> String {
        let source = self.event_source.as_deref().unwrap_or_default();
        let event = format_args!("{}/{source}/{}", source.len(), self.event_id);
        // Room for a number and two separators besides the texts.
        subject::written(source.len() + self.event_id.len() + 22, event)
    }

    /// Returns the source and the id of the event in the text of [`Envelope::event`].
    #[must_use]
    pub fn parse_event(text: &str) -> Option<(Option<&str>, &str)> {
        let (length, rest) = text.split_once('/')?;
        let (source, rest) = rest.split_at_checked(length.parse().ok()?)?;
        let id = rest.strip_prefix('/')?;
        Some((Some(source).filter(|source| !source.is_empty()), id))
    }

    /// Returns the source and the id of the event in an envelope's `Nats-Msg-Id`, as earlier versions wrote it:
    /// `<tenant>~<event's position>/<source's length>/<source>/<event id>/<part>`.
    #[must_use]
    pub fn parse_message_id(text: &str) -> Option<(Option<&str>, &str)> {
        let (_tenant, event) = text.split_once('/')?;
        let (event, _part) = event.rsplit_once('/')?;
        Self::parse_event(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_source_from_id() {
        let (subject, _) = EnvelopeSubject::parse("envelopes.ops.durable.all.-.note.-").unwrap();
        let event = |source: Option<&str>, id: &str| {
            let subject = subject.clone();
            let event = Position { epoch: crate::Epoch(1), sequence: 1 };
            let origin = Origin { event, message: 0, part: 2 };
            let (event_id, event_source) = (id.to_owned(), source.map(str::to_owned));
            let (attributes, expires_at, trace_parent, body) = (Attributes::new(), None, None, Bytes::new());
            let envelope = Envelope {
                subject,
                event_id,
                event_source,
                origin,
                attributes,
                expires_at,
                trace_parent,
                body,
            };
            envelope.event()
        };
        assert_eq!(event(Some("orders"), "1"), "6/orders/1");
        assert_eq!(event(None, "1"), "0//1");
        assert_ne!(event(Some("orders"), "eu/1"), event(Some("orders/eu"), "1"));
        assert_ne!(event(None, "orders/1"), event(Some("orders"), "1"));
        for (source, id) in
            [(Some("orders"), "1"), (None, "1"), (Some("a/ö"), "eu/1/"), (None, "/"), (None, "")]
        {
            let text = event(source, id);
            assert_eq!(Envelope::parse_event(&text), Some((source, id)), "{text}");
            for former in [format!("ops~1-1/{text}/2"), format!("ops~1-1~7/{text}/2")] {
                assert_eq!(Envelope::parse_message_id(&former), Some((source, id)), "{former}");
            }
        }
        for wrong in ["", "1", "9/orders/1", "1/ö/1", "6/orders", "x/orders/1"] {
            assert_eq!(Envelope::parse_event(wrong), None, "{wrong}");
            assert_eq!(Envelope::parse_message_id(&format!("ops/{wrong}/2")), None, "{wrong}");
        }
    }

    #[test]
    fn origins_lead_back() {
        let event = Position { epoch: crate::Epoch(0x18f3), sequence: 42 };
        let origin = Origin { event, message: 1, part: 30 };
        assert_eq!(origin.to_string(), "18f3-42/1/30");
        assert_eq!("18f3-42/1/30".parse(), Ok(origin));
        for wrong in
            ["", "18f3-42", "18f3-42/1", "18f3-42/1/30/2", "18f3/1/30", "18f3-42/x/30", "18f3-42/1/-1"]
        {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong} was taken");
        }
    }

    #[test]
    fn subjects_lead_back() {
        for text in [
            "envelopes.ops.durable.topic.incidents.incident.-",
            "envelopes.uploads.latest.user.john=2Edoe.upload_progress.u=2F1",
            "envelopes.shelter.durable.all.-.broadcast.-",
            "envelopes_2.shelter~7.durable.all.-.broadcast.-",
        ] {
            let (subject, place) = EnvelopeSubject::parse(text).unwrap();
            assert_eq!(subject.written_in(place), text);
        }
        for text in [
            "events.ops.incident.created",
            "envelopes.ops.durable.topic.incidents.incident",
            "envelopes.ops.durable.topic.incidents.incident.-.x",
            "envelopes.ops.kept.topic.incidents.incident.-",
            "envelopes.ops.durable.all.x.incident.-",
            "envelopes.Ops.durable.all.-.incident.-",
            "envelopes.ops~0.durable.all.-.incident.-",
            "envelopes_0.ops.durable.all.-.incident.-",
        ] {
            assert_eq!(EnvelopeSubject::parse(text), None, "{text}");
        }
    }
}
