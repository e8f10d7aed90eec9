//! What a request to publish says: the events in it, as they will lie in `EVENTS`. Pure.
//!
//! The CloudEvents 1.0 HTTP binding (structured, binary, batch), and plain JSON with the event's name in the path. Nothing
//! is understood here that `tidings_model` understands: an event keeps its body and its `ce-` headers as they came, and is
//! read from there, here and by the projector alike. So an event is the same whichever way it came, NATS included.
//!
//! Only the headers that belong to an event, or say when it is to be delivered, go along. Others, such as those by which the projector knows a retried event,
//! cannot be sent over HTTP.

use std::fmt::Write as _;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tidings_catalog::Rejection;
use tidings_model::{
    CloudEvent, Delivery, Epoch, Event, EventName, Position, RawEvent, Tenant, headers, is_json, json,
    media_type,
};
use time::OffsetDateTime;

use super::rejection::rejected;
use crate::error::{ApiCode, ApiError};

/// The most events in a batch.
const MAX_BATCH: usize = 1_000;
/// The prefix of the headers with the attributes of a CloudEvent.
const ATTRIBUTE: &str = "ce-";
/// The header with the id of an event that has none of its own.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACE_PARENT: HeaderName = HeaderName::from_static(headers::TRACE_PARENT);

/// The headers that say when an event is to be delivered.
const DELIVERY: [(HeaderName, &str); 2] = [
    (HeaderName::from_static("tidings-deliver-at"), headers::DELIVER_AT),
    (HeaderName::from_static("tidings-delay"), headers::DELAY),
];

/// Whose events they are, and when they come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'s> {
    pub(crate) tenant: &'s Tenant,
    /// The source that plain JSON gets, if the producer is bound to one.
    pub(crate) source: Option<&'s str>,
    pub(crate) now: OffsetDateTime,
}

/// The events of a request, in its order.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) events: Vec<Result<Submitted, ApiError>>,
    pub(crate) is_batch: bool,
}

/// An event of a request.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) raw: RawEvent,
    /// Whether its id was made here, so that it has no repetitions.
    pub(crate) is_id_new: bool,
    /// The request's `Idempotency-Key`.
    pub(crate) key: Option<String>,
}

/// Reads a request. `name` is the event in the path; `new_id` makes an id.
pub(crate) fn read(
    given: &HeaderMap,
    name: Option<&str>,
    body: Bytes,
    sender: Sender<'_>,
    new_id: impl FnOnce() -> String,
) -> Result<Publication, ApiError> {
    let name = name.map(event_name).transpose()?;
    let key = idempotency_key(given)?;
    let content_type = sole_text(given, &CONTENT_TYPE)?.unwrap_or_default();
    let kind = media_type(content_type);
    if kind == CloudEvent::BATCH_CONTENT_TYPE {
        if key.is_some() {
            let text = "the events of a batch count by their own ids; send no Idempotency-Key";
            return Err(ApiError::new(ApiCode::IdempotencyKey, text));
        }
        let read = |item: Value| of_batch(&item, name.clone(), sender);
        return Ok(Publication { events: batch(&body)?.into_iter().map(read).collect(), is_batch: true });
    }
    check_type(content_type, &kind)?;
    let mut raw = unplaced(event_headers(given, content_type, is_structured(&kind))?, body, sender.now);
    let declared = raw.declared_type().map_err(|error| rejected(&Rejection::malformed(&error)))?;
    let is_plain = declared.is_none();
    let name = named(name, declared.as_deref())?;
    raw.subject = name.subject(sender.tenant);
    let is_id_new = is_plain && key.is_none();
    if is_plain {
        let id = key.clone().unwrap_or_else(new_id);
        raw.headers.extend(identity(id, sender.source, &name));
    }
    Ok(Publication { events: vec![Ok(Submitted { raw, is_id_new, key })], is_batch: false })
}

/// The publication that cancels the event of this name and id, of the sender's source.
pub(super) fn cancellation(name: &str, id: &str, sender: Sender<'_>) -> Result<Publication, ApiError> {
    let raw = Delivery::cancellation(sender.tenant, &event_name(name)?, sender.source, id, sender.now);
    Ok(Publication { events: vec![Ok(Submitted { raw, is_id_new: false, key: None })], is_batch: false })
}

fn is_structured(kind: &str) -> bool {
    matches!(kind, "application/cloudevents" | CloudEvent::CONTENT_TYPE)
}

fn check_type(given: &str, kind: &str) -> Result<(), ApiError> {
    if kind.is_empty()
        || is_structured(kind)
        || (is_json(kind) && !kind.starts_with("application/cloudevents"))
    {
        return Ok(());
    }
    let given: String = given.chars().take(64).collect();
    let text = format!(
        "a body of the type {given:?} is not read, expected Content-Type: application/json, {}, or {}",
        CloudEvent::CONTENT_TYPE,
        CloudEvent::BATCH_CONTENT_TYPE
    );
    Err(ApiError::new(ApiCode::ContentType, text))
}

/// The items of a batch.
fn batch(body: &[u8]) -> Result<Vec<Value>, ApiError> {
    let wrong =
        |why: String| ApiError::new(ApiCode::Body, format!("the batch is not an array of CloudEvents{why}"));
    let items = match json::parse(body) {
        Ok(Value::Array(items)) => items,
        Ok(_) => return Err(wrong(String::new())),
        Err(error) => return Err(wrong(format!(": {error}"))),
    };
    if items.len() <= MAX_BATCH {
        return Ok(items);
    }
    let text = format!("the batch has {} events, more than {MAX_BATCH}", items.len());
    Err(ApiError::new(ApiCode::BatchTooLarge, text))
}

fn of_batch(item: &Value, name: Option<EventName>, sender: Sender<'_>) -> Result<Submitted, ApiError> {
    let kind = (headers::CONTENT_TYPE.to_owned(), CloudEvent::CONTENT_TYPE.to_owned());
    let mut raw = unplaced(vec![kind], item.to_string().into(), sender.now);
    let declared = raw.declared_type().map_err(|error| rejected(&Rejection::malformed(&error)))?;
    raw.subject = named(name, declared.as_deref())?.subject(sender.tenant);
    Ok(Submitted { raw, is_id_new: false, key: None })
}

/// An event that is not stored yet, and whose subject is not known yet.
fn unplaced(headers: Vec<(String, String)>, payload: Bytes, now: OffsetDateTime) -> RawEvent {
    let position = Position { epoch: Epoch(0), sequence: 0 };
    RawEvent { subject: String::new(), headers, payload, position, stored_at: now }
}

/// The headers that go along with an event.
fn event_headers(
    given: &HeaderMap,
    content_type: &str,
    is_structured: bool,
) -> Result<Vec<(String, String)>, ApiError> {
    let mut kept = Vec::new();
    if !content_type.is_empty() {
        kept.push((headers::CONTENT_TYPE.to_owned(), content_type.to_owned()));
    }
    if let Some(trace_parent) = sole_text(given, &TRACE_PARENT)? {
        kept.push((headers::TRACE_PARENT.to_owned(), trace_parent.to_owned()));
    }
    for (given_name, name) in &DELIVERY {
        if let Some(value) = sole_text(given, given_name)? {
            kept.push(((*name).to_owned(), value.to_owned()));
        }
    }
    if !is_structured {
        for name in given.keys().filter(|name| name.as_str().starts_with(ATTRIBUTE)) {
            let value = sole_text(given, name)?.unwrap_or_default();
            kept.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
    Ok(kept)
}

/// The headers that give plain JSON its identity.
fn identity(id: String, source: Option<&str>, name: &EventName) -> Vec<(String, String)> {
    let Some(source) = source else { return vec![(headers::EVENT_ID.to_owned(), id)] };
    let attributes = [
        ("specversion", "1.0".to_owned()),
        ("id", encoded(&id)),
        ("source", encoded(source)),
        ("type", name.to_string()),
    ];
    attributes.map(|(attribute, value)| (format!("{ATTRIBUTE}{attribute}"), value)).into()
}

/// The percent-encoding of the HTTP binding (section 3.1.3.2).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn named(in_path: Option<EventName>, declared: Option<&str>) -> Result<EventName, ApiError> {
    match (in_path, declared) {
        (Some(name), _) => Ok(name),
        (None, Some(declared)) => event_name(declared),
        (None, None) => {
            let text = "plain JSON has its event's name in the path: POST /api/v1/events/<entity>.<action>";
            Err(ApiError::new(ApiCode::EventName, text))
        }
    }
}

fn event_name(text: &str) -> Result<EventName, ApiError> {
    EventName::parse(text).ok_or_else(|| {
        let text: String = text.chars().take(64).collect();
        let text = format!(
            "{text:?} is not an event's name, expected <entity>.<action> such as incident.created; where the CloudEvent's \
             `type` is something else, the name belongs in the path: POST /api/v1/events/<entity>.<action>"
        );
        ApiError::new(ApiCode::EventName, text)
    })
}

/// The `Idempotency-Key`, with or without quotes.
fn idempotency_key(given: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(text) = sole_text(given, &IDEMPOTENCY_KEY)? else { return Ok(None) };
    let text = text.trim();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if key.is_empty() || !Event::can_be_named(key) {
        let text = format!("the Idempotency-Key is not an id of 1 to {} bytes", Event::MAX_ID_LENGTH);
        return Err(ApiError::new(ApiCode::IdempotencyKey, text));
    }
    Ok(Some(key.to_owned()))
}

/// The text of a header that may be there once.
fn sole_text<'h>(given: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ApiError> {
    let mut values = given.get_all(name).iter();
    let value = values.next().map(|value| text(name, value)).transpose()?;
    if values.next().is_none() {
        return Ok(value);
    }
    let text = format!("the request has several headers {name}, expected one");
    Err(ApiError::new(ApiCode::HeaderRepeated, text))
}

fn text<'h>(name: &HeaderName, value: &'h HeaderValue) -> Result<&'h str, ApiError> {
    let text = std::str::from_utf8(value.as_bytes()).ok().filter(|text| !text.contains(char::is_control));
    text.ok_or_else(|| ApiError::new(ApiCode::HeaderValue, format!("the header {name} is not UTF-8 text")))
}

#[cfg(test)]
mod tests;
