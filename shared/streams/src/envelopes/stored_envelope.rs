//! Converts between envelopes and messages of `ENVELOPES`.

use std::str::FromStr;

use async_nats::jetstream::message::StreamMessage;
use async_nats::{HeaderMap, HeaderValue, Message};
use bytes::Bytes;
use tidings_model::{Attributes, Class, Envelope, EnvelopeSubject, Origin, headers, json};
use time::OffsetDateTime;

use crate::nats::set;

/// An envelope as stored in `ENVELOPES`.
#[derive(Debug, Clone)]
pub struct StoredEnvelope {
    /// The sequence in the stream.
    pub sequence: u64,
    /// When the stream stored it.
    pub stored_at: OffsetDateTime,
    /// The generation of the tenant's envelopes.
    pub generation: u32,
    /// Whether it was not written in its event's turn, but rebuilt, or held back for a while: then the envelopes of later
    /// events may lie before it.
    pub is_late: bool,
    /// The envelope; without its body if only headers were read.
    pub envelope: Envelope,
}

impl StoredEnvelope {
    pub(crate) fn from_message(message: &Message, sequence: u64, stored_at: OffsetDateTime) -> Option<Self> {
        let headers = message.headers.as_ref()?;
        Self::from_parts(&message.subject, headers, message.payload.clone(), (sequence, stored_at))
    }

    pub(crate) fn from_stream(message: &StreamMessage) -> Option<Self> {
        let place = (message.sequence, message.time);
        Self::from_parts(&message.subject, &message.headers, message.payload.clone(), place)
    }

    /// `None` for a message that no projector wrote, as it has no valid address.
    fn from_parts(
        subject: &str,
        headers: &HeaderMap,
        body: Bytes,
        (sequence, stored_at): (u64, OffsetDateTime),
    ) -> Option<Self> {
        let (subject, place) = EnvelopeSubject::parse(subject)?;
        let text = |name: &str| headers.get(name).map(HeaderValue::as_str);
        let attributes: Option<Attributes> = match text(headers::ATTRIBUTES) {
            None => Some(Attributes::new()),
            Some(json) => json::read(json.as_bytes()).ok(),
        };
        let (event_source, event_id) = match text(headers::EVENT) {
            Some(event) => Envelope::parse_event(event)?,
            // As earlier versions wrote it.
            None => Envelope::parse_message_id(text(headers::MESSAGE_ID)?)?,
        };
        let envelope = Envelope {
            subject,
            event_id: event_id.to_owned(),
            event_source: event_source.map(str::to_owned),
            origin: origin(headers)?,
            attributes: attributes?,
            expires_at: text(headers::EXPIRES).and_then(from_unix_seconds),
            trace_parent: text(headers::TRACE_PARENT).map(str::to_owned),
            body,
        };
        let is_late = text(headers::THROUGH).is_some();
        Some(Self { sequence, stored_at, generation: place.generation, is_late, envelope })
    }
}

/// The origin of an envelope, from its headers.
pub(crate) fn origin(headers: &HeaderMap) -> Option<Origin> {
    Origin::from_str(headers.get(headers::ORIGIN)?.as_str()).ok()
}

/// The headers of an outgoing envelope, except those for its place in the stream.
pub(crate) fn envelope_headers(
    envelope: &Envelope,
    kept_until: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> HeaderMap {
    let mut map = HeaderMap::new();
    set(&mut map, headers::ORIGIN, envelope.origin.to_string());
    set(&mut map, headers::EVENT, envelope.event());
    if !envelope.attributes.is_empty() {
        let json = serde_json::to_string(&envelope.attributes).unwrap_or_default();
        set(&mut map, headers::ATTRIBUTES, json);
    }
    if let Some(trace_parent) = &envelope.trace_parent {
        set(&mut map, headers::TRACE_PARENT, trace_parent.as_str());
    }
    if envelope.subject.class == Class::Latest {
        set(&mut map, headers::ROLLUP, "sub");
    }
    if let Some(expires_at) = envelope.expires_at {
        set(&mut map, headers::EXPIRES, expires_at.unix_timestamp().to_string());
    }
    let ends = [envelope.expires_at, kept_until].into_iter().flatten().min();
    if let Some(ends) = ends {
        // The server counts whole seconds, with a minimum of one. The value is rounded up: an envelope that is removed
        // before it has expired would look as if it had not been written.
        let left = ends - now;
        let seconds = (left.whole_seconds() + i64::from(left.subsec_nanoseconds() > 0)).max(1);
        set(&mut map, headers::TIME_TO_LIVE, format!("{seconds}s"));
    }
    map
}

fn from_unix_seconds(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(text.parse().ok()?).ok()
}
