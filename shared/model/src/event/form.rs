//! The three forms of an event, by the CloudEvents protocol binding for NATS: *structured* (the payload is the whole
//! CloudEvent), *binary* (attributes in `ce-` headers, the payload is the data) and *plain* (the payload is the data,
//! without attributes).
//!
//! The `Content-Type` decides. If it is absent, headers and payload decide: the Go SDK sends structured CloudEvents
//! without it. Attribute names ignore case: some clients write headers in capitals, and some languages members.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::{Event, EventError, RawEvent};
use crate::delivery::DeliveryAttributes;
use crate::{headers, json};

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An event's form, and what was parsed to tell.
enum Form {
    Structured(Map<String, Value>),
    Binary,
    Plain(Value),
}

impl Form {
    fn of(raw: &RawEvent) -> Result<Self, EventError> {
        let content_type = raw.header(headers::CONTENT_TYPE).unwrap_or_default();
        match media_type(content_type).strip_prefix("application/cloudevents") {
            Some("" | "+json") => match payload(raw)? {
                Value::Object(members) => Ok(Self::Structured(members)),
                _ => Err(EventError::Missing("specversion")),
            },
            Some(batch) if batch.starts_with("-batch") => Err(EventError::Batch),
            Some(format) if format.starts_with('+') => Err(EventError::Format(shortened(content_type))),
            _ if ["specversion", "id", "source", "type"].iter().any(|name| header(raw, name).is_some()) => {
                Ok(Self::Binary)
            }
            _ => Ok(match payload(raw)? {
                Value::Object(members) if is_cloud_event(&members) => Self::Structured(members),
                data => Self::Plain(data),
            }),
        }
    }
}

/// Fills in the event from any of the three forms. Returns what its attributes say about its delivery.
pub(super) fn read(raw: &RawEvent, event: &mut Event) -> Result<DeliveryAttributes, EventError> {
    match Form::of(raw)? {
        Form::Structured(members) => structured(members, event),
        Form::Binary => binary(raw, event),
        Form::Plain(data) => {
            event.data = data;
            Ok(DeliveryAttributes::default())
        }
    }
}

/// Returns the `type` of a CloudEvent, or `None` for plain JSON.
pub(super) fn declared_type(raw: &RawEvent) -> Result<Option<String>, EventError> {
    let given = match Form::of(raw)? {
        Form::Plain(_) => return Ok(None),
        Form::Structured(members) => match named(&members, "type").map(|(_, value)| value) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => return Err(EventError::NotText("type")),
        },
        Form::Binary => header(raw, "type").map(|value| decoded("type", value)).transpose()?,
    };
    given.map(Some).ok_or(EventError::Missing("type"))
}

fn payload(raw: &RawEvent) -> Result<Value, EventError> {
    json::parse(&raw.payload).map_err(EventError::Json)
}

fn header<'r>(raw: &'r RawEvent, attribute: &str) -> Option<&'r str> {
    raw.header(&format!("ce-{attribute}"))
}

fn binary(raw: &RawEvent, event: &mut Event) -> Result<DeliveryAttributes, EventError> {
    let attribute = |name: &'static str| header(raw, name).map(|value| decoded(name, value)).transpose();
    check_version(attribute("specversion")?.as_deref())?;
    event.id = attribute("id")?.ok_or(EventError::Missing("id"))?;
    event.source = Some(attribute("source")?.ok_or(EventError::Missing("source"))?);
    event.subject = attribute("subject")?.filter(|subject| !subject.is_empty());
    event.time = attribute("time")?.filter(|time| !time.is_empty());
    event.trace_parent = event.trace_parent.take().or(attribute("traceparent")?);
    // The NATS binding uses the attribute; the HTTP binding, which other SDKs follow here, uses the header.
    check_content_type(attribute("datacontenttype")?.as_deref())?;
    check_content_type(raw.header(headers::CONTENT_TYPE))?;
    event.data = payload(raw)?;
    Ok(DeliveryAttributes { deliver_at: attribute("deliverat")?, delay: attribute("delay")? })
}

/// Returns whether the payload is a CloudEvent without a declaration.
fn is_cloud_event(members: &Map<String, Value>) -> bool {
    ["specversion", "id", "source", "type"]
        .iter()
        .all(|name| named(members, name).is_some_and(|(_, value)| value.is_string()))
}

/// Returns the member of this name, else the first one that differs only in case.
fn named<'m>(members: &'m Map<String, Value>, name: &str) -> Option<(&'m str, &'m Value)> {
    let alike = || members.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    members.get_key_value(name).or_else(alike).map(|(name, value)| (name.as_str(), value))
}

fn structured(mut members: Map<String, Value>, event: &mut Event) -> Result<DeliveryAttributes, EventError> {
    let mut take = |name: &str| {
        let given = named(&members, name).map(|(given, _)| given.to_owned())?;
        members.shift_remove(&given)
    };
    let mut attribute = |name: &'static str| match take(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(EventError::NotText(name)),
    };
    check_version(attribute("specversion")?.as_deref())?;
    event.id = attribute("id")?.ok_or(EventError::Missing("id"))?;
    event.source = Some(attribute("source")?.ok_or(EventError::Missing("source"))?);
    event.subject = attribute("subject")?.filter(|subject| !subject.is_empty());
    event.time = attribute("time")?.filter(|time| !time.is_empty());
    event.trace_parent = event.trace_parent.take().or(attribute("traceparent")?);
    check_content_type(attribute("datacontenttype")?.as_deref())?;
    let delivery = DeliveryAttributes { deliver_at: attribute("deliverat")?, delay: attribute("delay")? };
    let encoded = attribute("data_base64")?;
    let data = take("data");
    event.data = match (data, encoded) {
        (Some(data), None) => data,
        (None | Some(Value::Null), Some(encoded)) => {
            let bytes = BASE64.decode(encoded).map_err(EventError::Base64)?;
            json::parse(&bytes).map_err(EventError::Base64Json)?
        }
        (Some(_), Some(_)) => return Err(EventError::TwoData),
        (None, None) => Value::Null,
    };
    Ok(delivery)
}

fn check_version(version: Option<&str>) -> Result<(), EventError> {
    match version {
        Some("1.0") => Ok(()),
        Some(other) => Err(EventError::Version(shortened(other))),
        None => Err(EventError::Missing("specversion")),
    }
}

/// Returns whether data of this media type, without parameters, is JSON.
#[must_use]
pub fn is_json(media_type: &str) -> bool {
    matches!(media_type, "application/json" | "text/json") || media_type.ends_with("+json")
}

fn check_content_type(content_type: Option<&str>) -> Result<(), EventError> {
    let Some(given) = content_type.filter(|given| !given.is_empty()) else { return Ok(()) };
    if is_json(&media_type(given)) { Ok(()) } else { Err(EventError::ContentType(shortened(given))) }
}

/// Returns a media type without parameters, in lower case.
#[must_use]
pub fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Returns the text of a header without quotes, which older versions of the binding permitted, and without
/// percent-encoding (section 3.1.3.2). An invalid encoding stays unchanged, since not all SDKs encode.
fn decoded(name: &'static str, value: &str) -> Result<String, EventError> {
    let value = unquoted(value.trim());
    if !value.contains('%') {
        return Ok(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|digits| byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let decoded = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8(bytes).map_err(|_| EventError::Encoding(name))
}

/// Returns the text of a quoted string (RFC 7230, 3.2.6). Other text stays unchanged.
fn unquoted(value: &str) -> String {
    let Some(inside) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        text.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    text
}
