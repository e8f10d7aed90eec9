//! The messages that every tenant has: the client's verbs, the gateway's answers, control messages and errors.

use serde_json::{Map, Value, json};
use strum::VariantArray as _;
use tidings_catalog::ClientShapes;
use tidings_protocol::error::ErrorCode;

use crate::json_schema::{self, text, time};

/// A message of the protocol.
pub(super) struct Control {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) payload: Value,
    /// For a client's message, the messages that answer it.
    pub(super) answers: Option<&'static [&'static str]>,
}

impl Control {
    pub(super) fn all(shapes: &ClientShapes) -> Vec<Self> {
        let mut all = from_clients(shapes);
        all.extend(from_gateways());
        all.push(error());
        all
    }
}

/// The id of a client's message, which its answer repeats.
pub(super) fn message_id() -> Value {
    json!({ "type": ["string", "number"], "description": "Repeated by the answer as `original_message_id`." })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// An object whose `action` is this, with these members, of which those with a `?` may be absent.
fn object(action: &str, members: &[(&str, Value)], is_open: bool) -> Value {
    let action = ("action", json!({ "type": "string", "const": action }));
    let members: Vec<_> = std::iter::once(&action).chain(members).cloned().collect();
    let mut object = json_schema::object(&members);
    if !is_open {
        object["additionalProperties"] = false.into();
    }
    object
}

fn from_clients(shapes: &ClientShapes) -> Vec<Control> {
    let topics: Vec<&String> = shapes.topics.iter().map(|(name, _)| name).collect();
    let topics = list(&if topics.is_empty() {
        json!({ "type": "string" })
    } else {
        json!({ "type": "string", "enum": topics })
    });
    let values = json!({ "anyOf": [{ "type": "string" }, list(&json!({ "type": "string" }))] });
    let attributes = shapes.topics.iter().flat_map(|(_, attributes)| attributes);
    let filters: Map<String, Value> = attributes.map(|name| (name.clone(), values.clone())).collect();
    let filters = json!({ "type": "object", "properties": filters, "additionalProperties": false });
    let said = |name, about, answers, members: &[(&'static str, Value)]| {
        let members = [members, &[("id?", message_id())]].concat();
        Control { name, about, payload: object(name, &members, true), answers: Some(answers) }
    };
    vec![
        said(
            "subscribe",
            "Subscribes to topics.",
            &["subscribed"],
            &[("topics", topics.clone()), ("filters?", filters)],
        ),
        said("unsubscribe", "Ends subscriptions.", &["unsubscribed"], &[("topics", topics)]),
        said("ping", "Asks for an answer.", &["pong"], &[]),
        said(
            "ack",
            "Acknowledges everything up to a sequence.",
            &[],
            &[("seq", json!({ "type": "integer", "minimum": 0 }))],
        ),
        said(
            "authenticate",
            "Shows a fresh token.",
            &["authenticated"],
            &[("token", text("A token of the same user."))],
        ),
    ]
}

fn from_gateways() -> Vec<Control> {
    let sent = |name, about, members: &[(&'static str, Value)]| {
        let members = [members, &[("timestamp", time("When it was sent."))]].concat();
        Control { name, about, payload: object(name, &members, false), answers: None }
    };
    let answer = || ("original_message_id?", message_id());
    let topics = || ("topics", list(&text("A topic of the connection.")));
    let position = |about| text(about);
    let reasons = json!({ "type": "string", "enum": ["epoch", "future", "retention"] });
    vec![
        sent(
            "welcome",
            "The first message of a connection.",
            &[
                ("position", position("Delivery continues after it.")),
                ("consumer", text("The durable consumer.")),
                ("expires?", time("When the token expires.")),
            ],
        ),
        sent("caught_up", "What was missed has been sent.", &[("position", position("What was reached."))]),
        sent(
            "gap",
            "Something cannot be delivered: fetch what is shown from its source.",
            &[
                ("from", position("What the client had.")),
                ("to", position("Delivery continues after it.")),
                ("reason", reasons),
            ],
        ),
        sent(
            "draining",
            "The connection is about to end.",
            &[(
                "reconnect_in_ms",
                json!({ "type": "integer", "minimum": 0, "description": "When to connect again." }),
            )],
        ),
        sent("subscribed", "The subscriptions are stored.", &[topics(), answer()]),
        sent("unsubscribed", "The subscriptions have ended.", &[topics(), answer()]),
        sent("authenticated", "The fresh token counts.", &[("expires", time("When it expires.")), answer()]),
        sent("published", "The event is stored.", &[("id", text("The event's id.")), answer()]),
        sent("pong", "The answer to `ping`.", &[answer()]),
    ]
}

fn error() -> Control {
    let codes: Vec<&str> = ErrorCode::VARIANTS.iter().map(|code| code.as_str()).collect();
    let meanings: Map<String, Value> =
        ErrorCode::VARIANTS.iter().map(|code| (code.as_str().to_owned(), code.meaning().into())).collect();
    let data = json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": { "type": "string", "enum": codes, "description": "For programs.", "x-meanings": meanings },
            "message": text("For people."),
            "original_message_id": message_id(),
            "retry_after_ms": { "type": "integer", "description": "With `RATE_LIMITED`: how long to wait." },
            "reason": text("Why the projector would reject what was published."),
            "pointer": text("The JSON pointer of the refused place."),
            "event_id": text("With `MESSAGE_TOO_LARGE`: the event whose message is too long."),
        },
    });
    let members = [
        ("type", json!({ "type": "string", "const": "error" })),
        ("data", data),
        ("timestamp", time("When it was sent.")),
        ("seq?", json!({ "type": "integer", "description": "Where it stands in the place of a message." })),
        ("id?", text("The id of that message.")),
    ];
    let about = "A message was not understood, or is not permitted.";
    Control { name: "error", about, payload: object("created", &members, false), answers: None }
}
