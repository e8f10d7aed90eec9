//! Messages of the gateway besides envelopes and errors, and the subprotocol that enables them.
//!
//! A plain client receives only the answers that it needs: `pong` and `published`. A client of `tidings.v1` receives
//! all messages. Unlike envelopes they have no `seq`.

use serde_json::{Map, Value, json};
use tidings_model::{Position, rfc3339};
use time::OffsetDateTime;

use crate::error::MessageId;

/// The subprotocol of sequenced clients: they get `seq` and `id` in each body, and control messages.
pub const SUBPROTOCOL: &str = "tidings.v1";

/// The form in which a client receives its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The body exactly as the catalog renders it.
    Plain,
    /// [`SUBPROTOCOL`]: the body with `seq` and `id` in front.
    Sequenced,
}

/// Returns the subprotocol for the answer to a `Sec-WebSocket-Protocol` header, if the client offers it.
///
/// The header is a list separated by commas. Names are compared exactly (RFC 6455, section 4.2.2).
#[must_use]
pub fn choose_subprotocol(offered: &str) -> Option<&'static str> {
    offered.split(',').any(|name| name.trim_matches([' ', '\t']) == SUBPROTOCOL).then_some(SUBPROTOCOL)
}

/// A message of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage<'a> {
    /// The answer to `ping`.
    Pong {
        /// The id of the `ping`.
        original_message_id: Option<MessageId>,
    },
    /// The first message: the client's consumer and position.
    Welcome {
        /// The position after which delivery continues.
        position: Position,
        /// The durable consumer's name.
        consumer: &'a str,
        /// When the token expires and the connection ends, unless the client sends a new one.
        expires: Option<OffsetDateTime>,
    },
    /// The answer to `subscribe`.
    Subscribed {
        /// All topics that the connection is subscribed to now.
        topics: &'a [&'a str],
        /// The id of the `subscribe`.
        original_message_id: Option<MessageId>,
    },
    /// The answer to `unsubscribe`.
    Unsubscribed {
        /// All topics that the connection is still subscribed to.
        topics: &'a [&'a str],
        /// The id of the `unsubscribe`.
        original_message_id: Option<MessageId>,
    },
    /// The answer to `authenticate`: the connection uses the new token.
    Authenticated {
        /// When the new token expires.
        expires: OffsetDateTime,
        /// The id of the `authenticate`.
        original_message_id: Option<MessageId>,
    },
    /// The answer to a client publication: the event is stored.
    Published {
        /// The event's id. Its messages have the same id.
        id: &'a str,
        /// The id of the publication's message.
        original_message_id: Option<MessageId>,
    },
    /// All missed envelopes have been sent. Delivery is live from here on.
    CaughtUp {
        /// The position reached.
        position: Position,
    },
    /// Envelopes that the client may have missed cannot be delivered. The client refetches its state.
    Gap {
        /// The client's assumed position.
        from: Position,
        /// The position after which delivery continues.
        to: Position,
        /// The reason.
        reason: GapReason,
    },
    /// The connection is about to end, because the gateway drains or the connection reached its maximum age.
    Draining {
        /// When the connection ends and the client should reconnect, in milliseconds from now.
        reconnect_in_ms: u64,
    },
}

/// Why envelopes cannot be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// `epoch`: the position belongs to another epoch of the stream.
    Epoch,
    /// `future`: the position is after the newest envelope.
    Future,
    /// `retention`: the position is older than the retained envelopes.
    Retention,
}

impl GapReason {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Future => "future",
            Self::Retention => "retention",
        }
    }
}

impl ServerMessage<'_> {
    /// Returns the message as JSON: `action`, its own members, `timestamp`.
    #[must_use]
    pub fn to_json(&self, now: OffsetDateTime) -> String {
        let (action, members) = match self {
            Self::Pong { original_message_id } => {
                ("pong", json!({ "original_message_id": original_message_id }))
            }
            Self::Welcome { position, consumer, expires } => (
                "welcome",
                json!({
                    "position": position.to_string(),
                    "consumer": consumer,
                    "expires": expires.map(rfc3339),
                }),
            ),
            Self::Subscribed { topics, original_message_id } => {
                ("subscribed", json!({ "topics": topics, "original_message_id": original_message_id }))
            }
            Self::Unsubscribed { topics, original_message_id } => {
                ("unsubscribed", json!({ "topics": topics, "original_message_id": original_message_id }))
            }
            Self::Authenticated { expires, original_message_id } => (
                "authenticated",
                json!({ "expires": rfc3339(*expires), "original_message_id": original_message_id }),
            ),
            Self::Published { id, original_message_id } => {
                ("published", json!({ "id": id, "original_message_id": original_message_id }))
            }
            Self::CaughtUp { position } => ("caught_up", json!({ "position": position.to_string() })),
            Self::Gap { from, to, reason } => (
                "gap",
                json!({
                    "from": from.to_string(),
                    "to": to.to_string(),
                    "reason": reason.as_str(),
                }),
            ),
            Self::Draining { reconnect_in_ms } => ("draining", json!({ "reconnect_in_ms": reconnect_in_ms })),
        };
        envelope(action, members, now)
    }
}

/// Omits members that are `null`.
fn envelope(action: &str, members: Value, now: OffsetDateTime) -> String {
    let mut message = Map::new();
    message.insert("action".to_owned(), action.into());
    if let Value::Object(members) = members {
        message.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
    }
    message.insert("timestamp".to_owned(), rfc3339(now).into());
    Value::Object(message).to_string()
}

#[cfg(test)]
mod tests {
    use tidings_model::Epoch;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2025-01-17 16:00:00 UTC);

    fn at(epoch: u64, sequence: u64) -> Position {
        Position { epoch: Epoch(epoch), sequence }
    }

    #[track_caller]
    fn check(message: &ServerMessage<'_>, expected: &str) {
        let stamped = expected.replace('}', r#","timestamp":"2025-01-17T16:00:00.000Z"}"#);
        assert_eq!(message.to_json(NOW), stamped);
    }

    #[test]
    fn messages_have_their_documented_form() {
        check(&ServerMessage::Pong { original_message_id: None }, r#"{"action":"pong"}"#);
        let original_message_id = Some(MessageId::Text("p1".to_owned()));
        check(
            &ServerMessage::Pong { original_message_id },
            r#"{"action":"pong","original_message_id":"p1"}"#,
        );
        let expires = Some(datetime!(2025-01-17 17:00:00 UTC));
        check(
            &ServerMessage::Welcome { position: at(0xab, 7), consumer: "ada/phone", expires },
            r#"{"action":"welcome","position":"ab-7","consumer":"ada/phone","expires":"2025-01-17T17:00:00.000Z"}"#,
        );
        check(
            &ServerMessage::Welcome { position: at(1, 0), consumer: "a", expires: None },
            r#"{"action":"welcome","position":"1-0","consumer":"a"}"#,
        );
        let original_message_id = Some(MessageId::Text("m1".to_owned()));
        check(
            &ServerMessage::Subscribed { topics: &["a", "b"], original_message_id },
            r#"{"action":"subscribed","topics":["a","b"],"original_message_id":"m1"}"#,
        );
        check(
            &ServerMessage::Unsubscribed { topics: &[], original_message_id: None },
            r#"{"action":"unsubscribed","topics":[]}"#,
        );
        check(
            &ServerMessage::Authenticated { expires: NOW, original_message_id: None },
            r#"{"action":"authenticated","expires":"2025-01-17T16:00:00.000Z"}"#,
        );
        let original_message_id = Some(MessageId::Text("m2".to_owned()));
        check(
            &ServerMessage::Published { id: "ada/m2", original_message_id },
            r#"{"action":"published","id":"ada/m2","original_message_id":"m2"}"#,
        );
        check(&ServerMessage::CaughtUp { position: at(1, 9) }, r#"{"action":"caught_up","position":"1-9"}"#);
        check(
            &ServerMessage::Gap { from: at(1, 9), to: at(2, 3), reason: GapReason::Epoch },
            r#"{"action":"gap","from":"1-9","to":"2-3","reason":"epoch"}"#,
        );
        check(
            &ServerMessage::Draining { reconnect_in_ms: 1500 },
            r#"{"action":"draining","reconnect_in_ms":1500}"#,
        );
    }

    #[test]
    fn the_subprotocol_is_chosen_when_offered_exactly() {
        for offered in ["tidings.v1", "graphql-ws, tidings.v1", "a,tidings.v1 ,b"] {
            assert_eq!(choose_subprotocol(offered), Some("tidings.v1"), "{offered}");
        }
        for offered in ["", "tidings.v2", "Tidings.v1", "tidings.v11", "tidings. v1", "tidings.v1;x"] {
            assert_eq!(choose_subprotocol(offered), None, "{offered}");
        }
    }
}
