//! What the gateway says besides envelopes and errors, and the subprotocol that asks for it.
//!
//! A plain client hears only the answers to what it asked of its own accord: `pong` and `published`. A client of `tidings.v1` hears all of them; it tells them
//! from envelopes by the absent `seq`.

use serde_json::{Map, Value, json};
use tidings_model::Position;
use time::OffsetDateTime;

use crate::error::MessageId;
use crate::timestamp::rfc3339;

/// The subprotocol whose clients get `seq` and `id` in each body, and control messages.
pub const SUBPROTOCOL: &str = "tidings.v1";

/// The subprotocol to answer a `Sec-WebSocket-Protocol` header with, if the client offers it.
///
/// The value is a list separated by commas; names are compared exactly (RFC 6455, section 4.2.2).
#[must_use]
pub fn choose_subprotocol(offered: &str) -> Option<&'static str> {
    offered.split(',').any(|name| name.trim_matches([' ', '\t']) == SUBPROTOCOL).then_some(SUBPROTOCOL)
}

/// A message of the gateway itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage<'a> {
    /// The answer to `ping`.
    Pong {
        /// The id of the message that it answers.
        original_message_id: Option<MessageId>,
    },
    /// The first message: who the gateway takes the client for, and where it stands.
    Welcome {
        /// Where delivery goes on from.
        position: Position,
        /// The durable consumer's name.
        consumer: &'a str,
        /// When the token expires and the connection ends, unless a fresh one is sent.
        expires: Option<OffsetDateTime>,
    },
    /// The answer to `subscribe`.
    Subscribed {
        /// Every topic that the connection is subscribed to now.
        topics: &'a [&'a str],
        /// The id of the message that it answers.
        original_message_id: Option<MessageId>,
    },
    /// The answer to `unsubscribe`.
    Unsubscribed {
        /// Every topic that the connection is still subscribed to.
        topics: &'a [&'a str],
        /// The id of the message that it answers.
        original_message_id: Option<MessageId>,
    },
    /// The answer to `authenticate`: the connection goes on with the fresh token.
    Authenticated {
        /// When the fresh token expires.
        expires: OffsetDateTime,
        /// The id of the message that it answers.
        original_message_id: Option<MessageId>,
    },
    /// The answer to what a client may say: it is an event now, and stored.
    Published {
        /// The event's id, which is also that of the messages that it becomes.
        id: &'a str,
        /// The id of the message that it answers.
        original_message_id: Option<MessageId>,
    },
    /// What was missed has been sent; from here on delivery is live.
    CaughtUp {
        /// The position reached.
        position: Position,
    },
    /// Envelopes that the client may have missed cannot be delivered; it refetches what it shows.
    Gap {
        /// The position that the client was taken to stand at.
        from: Position,
        /// The position that delivery goes on from.
        to: Position,
        /// Why.
        reason: GapReason,
    },
    /// The connection is about to end, because its gateway does or because it has reached its age.
    Draining {
        /// When it ends and the client is to have its next connection, in milliseconds from now.
        reconnect_in_ms: u64,
    },
}

/// Why envelopes are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// `epoch`: the position is from another life of the stream.
    Epoch,
    /// `future`: the position is beyond the newest envelope.
    Future,
    /// `retention`: the position is older than what is kept.
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
    /// The message as JSON: `action`, its own members, `timestamp`.
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

/// Members that are `null` are left out, as everywhere in the protocol.
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
        let stamped = expected.replace('}', r#","timestamp":"2025-01-17T16:00:00Z"}"#);
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
            r#"{"action":"welcome","position":"ab-7","consumer":"ada/phone","expires":"2025-01-17T17:00:00Z"}"#,
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
            r#"{"action":"authenticated","expires":"2025-01-17T16:00:00Z"}"#,
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
