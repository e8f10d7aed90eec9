//! Messages of a gateway in `tidings.v1`, as far as a client distinguishes them. Pure.

use std::time::Duration;

use serde_json::Value;

/// A text message of the gateway.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    /// A message, with the body as a plain client receives it.
    Envelope { sequence: u64, body: String },
    /// The answer to a `ping` without an id.
    Pong,
    /// The connection is open, at this position, until the token expires.
    Welcome { position: String, expires: Option<String> },
    /// A fresh token was accepted, until it expires.
    Authenticated { expires: Option<String> },
    /// The gateway closes the connection soon: the next one can be opened at once.
    Draining,
    /// The request with this id was carried out, with this result: the message that was asked for, or else the answer itself.
    Done { id: Value, result: String },
    /// Everything up to this position was sent.
    CaughtUp { position: String },
    /// Something up to this position cannot be delivered.
    Gap { to: String },
    /// Another control message.
    Control,
    /// The request with this id was refused.
    Refused { id: Value, code: String, message: String, retry_after: Option<Duration> },
    /// An answer without an id.
    Answer,
}

impl Received {
    pub(crate) fn read(text: &str) -> Self {
        if let Some((sequence, body)) = without_sequence(text) {
            return Self::Envelope { sequence, body };
        }
        if let Some((id, result)) = without_request(text) {
            return Self::Done { id, result };
        }
        let message = tidings_model::json::parse(text.as_bytes()).unwrap_or_default();
        let text_of = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        if message.get("type").and_then(Value::as_str) == Some("error") {
            let data = message.get("data").unwrap_or(&Value::Null);
            let id = data.get("original_message_id").cloned().unwrap_or_default();
            let retry_after = data.get("retry_after_ms").and_then(Value::as_u64).map(Duration::from_millis);
            return Self::Refused {
                id,
                code: text_of(data, "code"),
                message: text_of(data, "message"),
                retry_after,
            };
        }
        let action = message.get("action").and_then(Value::as_str);
        if let Some(id) = message.get("original_message_id") {
            return Self::Done { id: id.clone(), result: text.to_owned() };
        }
        match action {
            Some("pong") => Self::Pong,
            Some(_) if message.get("type").is_some() => Self::Answer,
            Some("welcome") => {
                Self::Welcome { position: text_of(&message, "position"), expires: expires(&message) }
            }
            Some("authenticated") => Self::Authenticated { expires: expires(&message) },
            Some("draining") => Self::Draining,
            Some("caught_up") => Self::CaughtUp { position: text_of(&message, "position") },
            Some("gap") => Self::Gap { to: text_of(&message, "to") },
            Some(_) => Self::Control,
            None => Self::Answer,
        }
    }
}

fn expires(message: &Value) -> Option<String> {
    message.get("expires").and_then(Value::as_str).map(str::to_owned)
}

/// Removes the members that `tidings.v1` adds to a body: `{"seq":7,"id":"e-1","a":1}` becomes `{"a":1}`.
fn without_sequence(text: &str) -> Option<(u64, String)> {
    let (sequence, rest) = text.strip_prefix(r#"{"seq":"#)?.split_once(',')?;
    let (_, body) = without_front(rest.strip_prefix(r#""id":"#)?)?;
    Some((sequence.parse().ok()?, body))
}

/// Removes the member that the answer to a route adds: `{"original_message_id":"m1","a":1}` becomes `{"a":1}`.
fn without_request(text: &str) -> Option<(Value, String)> {
    let rest = text.strip_prefix(r#"{"original_message_id":"#)?;
    if rest.starts_with('"') {
        let (id, body) = without_front(rest)?;
        return Some((Value::String(id), body));
    }
    let (id, _) = rest.split_once([',', '}'])?;
    let number = tidings_model::json::parse(id.as_bytes()).ok().filter(Value::is_number)?;
    Some((number, behind(rest.get(id.len()..)?)))
}

/// The text in front, and the object without it.
fn without_front(rest: &str) -> Option<(String, String)> {
    #[expect(clippy::disallowed_methods, reason = "a text alone is read, and nothing nests")]
    let mut front = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    let value = front.next()?.ok()?;
    Some((value, behind(rest.get(front.byte_offset()..)?)))
}

/// The object whose first member ends here.
fn behind(rest: &str) -> String {
    format!("{{{}", rest.strip_prefix(',').unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_printed_as_plain_clients_get_them() {
        for (text, sequence, body) in [
            (r#"{"seq":7,"id":"e-1","a":1.50}"#, 7, r#"{"a":1.50}"#),
            (r#"{"seq":7,"id":"a\"},{","id":"own"}"#, 7, r#"{"id":"own"}"#),
            (r#"{"seq":1,"id":""}"#, 1, "{}"),
        ] {
            assert_eq!(without_sequence(text), Some((sequence, body.to_owned())), "{text}");
        }
        for text in ["{}", r#"{"seq":7}"#, r#"{"id":"x","seq":7}"#, r#"{"seq":7,"id":7,"a":1}"#, "[]"] {
            assert_eq!(without_sequence(text), None, "{text}");
        }
    }

    #[test]
    fn messages_are_told_apart() {
        let position = || "18f-7".to_owned();
        let refused = Received::Refused {
            id: "s".into(),
            code: "UNKNOWN_TOPIC".to_owned(),
            message: "no topic".to_owned(),
            retry_after: Some(Duration::from_secs(1)),
        };
        let done = |id: Value, result: &str| Received::Done { id, result: result.to_owned() };
        for (text, expected) in [
            (
                r#"{"action":"welcome","position":"18f-7","expires":"2025-01-17T17:00:00Z"}"#,
                Received::Welcome { position: position(), expires: Some("2025-01-17T17:00:00Z".to_owned()) },
            ),
            (r#"{"action":"authenticated","expires":null}"#, Received::Authenticated { expires: None }),
            (r#"{"action":"draining","reconnect_in_ms":5}"#, Received::Draining),
            (
                r#"{"action":"published","id":"e","original_message_id":"p"}"#,
                done("p".into(), r#"{"action":"published","id":"e","original_message_id":"p"}"#),
            ),
            (r#"{"original_message_id":"r","type":"progress"}"#, done("r".into(), r#"{"type":"progress"}"#)),
            (r#"{"original_message_id":17}"#, done(17.into(), "{}")),
            (
                r#"{"action":"pong","original_message_id":"p"}"#,
                done("p".into(), r#"{"action":"pong","original_message_id":"p"}"#),
            ),
            (r#"{"action":"caught_up","position":"18f-7"}"#, Received::CaughtUp { position: position() }),
            (r#"{"action":"gap","from":"18f-1","to":"18f-7"}"#, Received::Gap { to: position() }),
            (r#"{"action":"pong","timestamp":"t"}"#, Received::Pong),
            (r#"{"action":"subscribed","topics":[]}"#, Received::Control),
            (r#"{"type":"task","action":"created"}"#, Received::Answer),
            ("nonsense", Received::Answer),
            (
                r#"{"type":"error","data":{"code":"UNKNOWN_TOPIC","message":"no topic","original_message_id":"s","retry_after_ms":1000}}"#,
                refused,
            ),
        ] {
            assert_eq!(Received::read(text), expected, "{text}");
        }
    }
}
