//! Errors for clients, in the form of the ops contract.
//!
//! `{"type":"error","action":"created","data":{"code":…,"message":…,"original_message_id":…},"timestamp":…}`
//!
//! A message that is not understood or not permitted is answered, never dropped. The code is for programs, and its
//! meaning never changes. The message is for people: what happened, the value, what was expected.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Number, Value, json};
use strum::{IntoStaticStr, VariantArray};
use tidings_model::rfc3339;
use time::OffsetDateTime;

/// The code of an error, for programs. On the wire it is in capitals, such as `INVALID_MESSAGE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "`meaning` describes every variant, for the documents, too")]
pub enum ErrorCode {
    InvalidMessage,
    UnknownAction,
    UnknownTopic,
    UnknownAttribute,
    Forbidden,
    NotFound,
    MessageTooLarge,
    TooManyTopics,
    TooManyFilters,
    ValueTooLong,
    UnsupportedData,
    RateLimited,
    Unauthorized,
    Unavailable,
    Internal,
}

impl ErrorCode {
    /// The code on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Describes when a client receives this code, for the documents.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::InvalidMessage => "not JSON, not an object, or a member that is missing or of a wrong type",
            Self::UnknownAction => "a verb that neither the protocol nor the tenant's catalog has",
            Self::UnknownTopic => "a topic that the tenant's catalog does not have",
            Self::UnknownAttribute => "a filter on an attribute that no message of the topics has",
            Self::Forbidden => "understood, but not permitted on this connection",
            Self::NotFound => "understood and permitted, but there is nothing of that key",
            Self::MessageTooLarge => {
                "longer than the limit, and not read. With `event_id`: stands in the place of a message that would be \
                 longer than `gateway.max_message_bytes` as it is sent; it has that message's `seq` and `id`, is \
                 acknowledged like it, and is sent once"
            }
            Self::TooManyTopics => "too many topics in one message, or on one connection",
            Self::TooManyFilters => "too many attributes in one message, or values for one attribute",
            Self::ValueTooLong => "a topic, an id, or a filter's name or value is too long",
            Self::UnsupportedData => "a binary message; only text is understood",
            Self::RateLimited => "too many messages, frames or bytes; wait for `retry_after_ms`",
            Self::Unauthorized => "a token that is not, or no longer, valid",
            Self::Unavailable => "not possible now; the same message, with the same id, may succeed later",
            Self::Internal => "a fault of the gateway; the same message may succeed later",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The id that a client gave its message. The answer repeats it unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum MessageId {
    /// Such as `"msg-123"`.
    Text(String),
    /// Such as `17`, with the digits as the client wrote them.
    Number(Number),
}

impl fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Number(number) => number.fmt(formatter),
        }
    }
}

impl From<MessageId> for Value {
    fn from(id: MessageId) -> Self {
        match id {
            MessageId::Text(text) => Self::String(text),
            MessageId::Number(number) => Self::Number(number),
        }
    }
}

/// An error message to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorMessage {
    code: ErrorCode,
    message: String,
    original_message_id: Option<MessageId>,
    details: Map<String, Value>,
}

impl ErrorMessage {
    /// Creates an error that answers no particular message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), original_message_id: None, details: Map::new() }
    }

    /// Creates a `RATE_LIMITED` error with the time to wait in whole milliseconds, rounded up.
    #[must_use]
    pub fn rate_limited(message: impl Into<String>, retry_after: Duration) -> Self {
        let milliseconds = retry_after.as_nanos().div_ceil(1_000_000);
        Self::new(ErrorCode::RateLimited, message)
            .with_detail("retry_after_ms", u64::try_from(milliseconds).unwrap_or(u64::MAX))
    }

    /// Sets the id of the message that caused the error. Without an id the member is omitted.
    #[must_use]
    pub fn in_reply_to(mut self, id: Option<MessageId>) -> Self {
        self.original_message_id = id;
        self
    }

    /// Adds a member to `data`. The standard members of an error cannot be replaced.
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The message for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The error as JSON.
    #[must_use]
    pub fn to_json(&self, now: OffsetDateTime) -> String {
        let mut data = Map::new();
        data.insert("code".to_owned(), self.code.as_str().into());
        data.insert("message".to_owned(), self.message.as_str().into());
        if let Some(id) = &self.original_message_id {
            data.insert("original_message_id".to_owned(), id.clone().into());
        }
        for (name, value) in &self.details {
            data.entry(name).or_insert_with(|| value.clone());
        }
        json!({ "type": "error", "action": "created", "data": data, "timestamp": rfc3339(now) }).to_string()
    }
}

/// Formats a value for an error message: quoted, escaped, and cut after 64 characters.
#[must_use]
pub fn quoted(value: &str) -> String {
    const SHOWN: usize = 64;
    match value.char_indices().nth(SHOWN) {
        None => format!("{value:?}"),
        Some((end, _)) => format!("{:?}…", &value[..end]),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2025-01-17 16:30:00 UTC);

    #[test]
    fn the_wire_form_is_the_contracts() {
        let error = ErrorMessage::new(ErrorCode::InvalidMessage, "Message format is invalid")
            .in_reply_to(Some(MessageId::Text("msg-123".to_owned())));
        assert_eq!(
            error.to_json(NOW),
            concat!(
                r#"{"type":"error","action":"created","data":{"code":"INVALID_MESSAGE","#,
                r#""message":"Message format is invalid","original_message_id":"msg-123"},"#,
                r#""timestamp":"2025-01-17T16:30:00.000Z"}"#
            )
        );
    }

    #[test]
    fn details_follow_and_an_absent_id_is_left_out() {
        let error = ErrorMessage::rate_limited("100 messages a minute", Duration::from_micros(1500))
            .with_detail("code", "FORGED");
        assert_eq!(
            error.to_json(NOW),
            concat!(
                r#"{"type":"error","action":"created","data":{"code":"RATE_LIMITED","#,
                r#""message":"100 messages a minute","retry_after_ms":2},"#,
                r#""timestamp":"2025-01-17T16:30:00.000Z"}"#
            )
        );
    }

    #[test]
    fn numbers_come_back_with_their_digits() {
        let id = MessageId::Number(serde_json::from_str("17.00").unwrap());
        let error = ErrorMessage::new(ErrorCode::Internal, "").in_reply_to(Some(id));
        assert!(error.to_json(NOW).contains(r#""original_message_id":17.00}"#));
    }

    #[test]
    fn quoted_values_are_escaped_and_short() {
        assert_eq!(quoted("a\"\n"), r#""a\"\n""#);
        assert_eq!(quoted(&"é".repeat(64)), format!("\"{}\"", "é".repeat(64)));
        assert_eq!(quoted(&"é".repeat(65)), format!("\"{}\"…", "é".repeat(64)));
    }
}
