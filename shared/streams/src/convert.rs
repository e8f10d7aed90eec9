//! Converts between NATS messages and the plain types of the model.

use std::str::FromStr;

use async_nats::jetstream::message::StreamMessage;
use async_nats::{HeaderMap, HeaderName, HeaderValue, Message};
use bytes::Bytes;
use tidings_model::{
    Attributes, Class, Envelope, EnvelopeSubject, Origin, Position, RawEvent, headers, json,
};
use time::OffsetDateTime;

use crate::writer::Resume;

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
        let (event_source, event_id) = Envelope::parse_message_id(text(headers::MESSAGE_ID)?)?;
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

/// The resume point in the headers of an envelope or a notice.
pub(crate) fn resume(headers: &HeaderMap) -> Option<Resume> {
    let text = |name: &str| headers.get(name).map(HeaderValue::as_str);
    let through = text(headers::THROUGH).and_then(|text| Position::from_str(text).ok());
    // Includes all parts of the event.
    let all_of = |event| Origin { event, message: u32::MAX, part: u32::MAX };
    let after = through.map(all_of).or_else(|| origin(headers))?;
    let held_from = text(headers::HELD_FROM).and_then(|text| text.parse().ok());
    Some(Resume { after: Some(after), held_from, stored_at: None })
}

/// The headers of an outgoing envelope, except those for its place in the stream.
pub(crate) fn envelope_headers(
    envelope: &Envelope,
    kept_until: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> HeaderMap {
    let mut map = HeaderMap::new();
    set(&mut map, headers::ORIGIN, envelope.origin.to_string());
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

/// Sets a header. A value with line breaks is omitted, as it would end the headers early.
pub(crate) fn set(map: &mut HeaderMap, name: &'static str, value: impl Into<String>) {
    let value = value.into();
    if !value.contains(['\r', '\n']) {
        map.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
}

/// An event as stored in the stream.
pub(crate) fn raw_event(
    subject: &str,
    headers: Option<&HeaderMap>,
    payload: Bytes,
    position: Position,
    stored_at: OffsetDateTime,
) -> RawEvent {
    let headers = headers.map(all_headers).unwrap_or_default();
    RawEvent { subject: subject.to_owned(), headers, payload, position, stored_at }
}

/// Every header with each of its values, in order.
pub(crate) fn all_headers(map: &HeaderMap) -> Vec<(String, String)> {
    let all = map.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    all.map(|(name, value)| (name.to_string(), value.as_str().to_owned())).collect()
}
