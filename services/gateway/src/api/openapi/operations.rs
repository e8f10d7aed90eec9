//! The operations: one entry for each method of each path.

mod contacts;
mod deliveries;
mod preferences;

use serde_json::{Value, json};

use super::codes::{ADMIN, ANY, BODY, CONNECT, PAGE, PRODUCER, TOKEN};
use crate::error::ApiCode;

/// A method of a path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) security: Value,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Value>,
    pub(super) answers: Vec<(u16, Value)>,
    pub(super) codes: Vec<ApiCode>,
}

impl Operation {
    /// `GET /path`, and its name.
    fn new(
        tag: &'static str,
        (method, path): (&'static str, &'static str),
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            tag,
            summary,
            security: json!([]),
            parameters: path_parameters(path),
            body: None,
            answers: Vec::new(),
            codes: ANY.to_vec(),
        }
    }

    /// An administrator's request.
    fn admin(what: (&'static str, &'static str), id: &'static str, summary: &'static str) -> Self {
        let of_method: &[ApiCode] =
            if ["post", "put"].contains(&what.0) { &[] } else { &[ApiCode::BodyUnexpected] };
        let operation = Self::new("administration", what, id, summary).secured(json!([{ "token": [] }]));
        operation.refused(TOKEN).refused(ADMIN).refused(of_method)
    }

    fn secured(self, security: Value) -> Self {
        Self { security, ..self }
    }

    fn parameter(mut self, place: &str, name: &str, required: bool, text: &str) -> Self {
        self.parameters.push(parameter(place, name, required, text));
        self
    }

    /// A body of JSON with this schema; where it may be absent, no member is needed.
    fn json(self, schema: &str, required: bool) -> Self {
        let content = json!({ "application/json": { "schema": reference(schema) } });
        self.body(&content, required).refused(&[ApiCode::ContentType])
    }

    fn body(self, content: &Value, required: bool) -> Self {
        Self { body: Some(json!({ "required": required, "content": content })), ..self }.refused(BODY)
    }

    fn answered(mut self, status: u16, text: &str, content: Option<(&str, Value)>) -> Self {
        let mut answer = json!({ "description": text });
        if let (Some((kind, schema)), Value::Object(members)) = (content, &mut answer) {
            members.insert("content".to_owned(), json!({ kind: { "schema": schema } }));
        }
        self.answers.push((status, answer));
        self
    }

    /// Answered with JSON of this schema.
    fn gives(self, text: &str, schema: &str) -> Self {
        self.answered(200, text, Some(("application/json", reference(schema))))
    }

    /// Answered with a JSON text of this schema in each line; one that cannot be given is a line with an error.
    fn lists(self, text: &str, schema: &str) -> Self {
        let line = json!({ "anyOf": [reference(schema), reference("LineError")] });
        let lines =
            json!({ "type": "string", "contentMediaType": "application/json", "contentSchema": line });
        self.answered(200, text, Some(("application/x-ndjson", lines)))
    }

    fn done(self, text: &str) -> Self {
        self.answered(204, text, None)
    }

    fn refused(mut self, codes: &[ApiCode]) -> Self {
        for code in codes {
            if !self.codes.contains(code) {
                self.codes.push(*code);
            }
        }
        self
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn parameter(place: &str, name: &str, required: bool, text: &str) -> Value {
    json!({ "in": place, "name": name, "required": required, "description": text, "schema": { "type": "string" } })
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| {
            let text = match name {
                "user" => "The user, as the token names them.",
                "device" => "The user's device.",
                "position" => "The position of the event in `EVENTS`, such as `18f3a0c2b41-42`.",
                "link" => "What the e-mail has in its header `List-Unsubscribe`.",
                "name" => "The event, `<entity>.<action>`.",
                "delivery" => "The delivery's `name`, such as `18f3a0c2b41-42-0-0`.",
                _ => "The id.",
            };
            let mut parameter = parameter("path", name, true, text);
            parameter["schema"]["minLength"] = 1.into();
            parameter
        })
        .collect()
}

pub(super) fn operations() -> Vec<Operation> {
    let mut all = health();
    all.extend(clients());
    all.extend(producers());
    all.extend(consumers());
    all.extend(preferences::operations());
    all.extend(users());
    all.extend(connections());
    all.extend(rejections());
    all.extend(deliveries::deliveries());
    all.extend(keys());
    all.extend(contacts::operations());
    all
}

fn health() -> Vec<Operation> {
    let text = |operation: Operation, text| {
        operation.answered(200, text, Some(("text/plain; charset=utf-8", json!({ "type": "string" }))))
    };
    let alive = Operation::new("health", ("get", "/healthz"), "isAlive", "Whether the process answers");
    let ready = Operation::new("health", ("get", "/readyz"), "isReady", "Whether new connections are served");
    let openapi = Operation::new("descriptions", ("get", "/openapi.json"), "describeHttp", "This document");
    let asyncapi = Operation::new(
        "descriptions",
        ("get", "/asyncapi.json"),
        "describeMessages",
        "The messages of the token's tenant (AsyncAPI 3.0)",
    );
    let token = json!([{ "token": [] }]);
    vec![
        text(alive, "`ok`"),
        text(ready.refused(&[ApiCode::Draining, ApiCode::Unavailable]), "`ready`"),
        openapi.refused(&[ApiCode::Parameter]).gives("OpenAPI 3.1", "Document"),
        asyncapi
            .secured(token)
            .refused(TOKEN)
            .refused(&[ApiCode::Parameter, ApiCode::TooManyAttempts, ApiCode::Internal, ApiCode::Unavailable])
            .gives("AsyncAPI 3.0", "Document"),
    ]
}

fn clients() -> Vec<Operation> {
    let anywhere = json!([{ "token": [] }, { "query": [] }, { "cookie": [] }]);
    let connect = |path, id, summary| {
        let operation = Operation::new("clients", ("get", path), id, summary).secured(anywhere.clone());
        operation
            .parameter("query", "device", false, "The name of this device, 1 to 64 characters.")
            .parameter("query", "since", false, "A position such as `18f3a0c2b41-42`, or `new`.")
            .refused(TOKEN)
            .refused(PAGE)
            .refused(CONNECT)
    };
    let handshake =
        [ApiCode::UpgradeRequired, ApiCode::HttpVersion, ApiCode::WebSocketVersion, ApiCode::WebSocketKey];
    let message =
        json!({ "type": "object", "description": "A message of a client, as `asyncapi.json` describes it." });
    let messages = json!({ "type": "array", "items": { "type": "object" } });
    vec![
        connect("/api/ws", "connect", "Opens a WebSocket (RFC 6455); `/api/ws/` is the same")
            .parameter("query", "refusals", false, "`close`: a refused handshake is answered by a Close.")
            .answered(101, "The WebSocket is open.", None)
            .refused(&handshake),
        connect("/api/sse", "connectOverHttp", "Opens an event stream, for networks without WebSockets")
            .parameter("header", "Last-Event-ID", false, "The position up to which everything was received.")
            .answered(200, "Events.", Some(("text/event-stream", json!({ "type": "string" })))),
        page(connect("/api/messages", "readMessages", "A page of messages, for clients without a socket"))
            .answered(200, "Messages.", Some(("application/json", messages.clone()))),
        page(Operation::new(
            "clients",
            ("post", "/api/messages"),
            "sendMessages",
            "Takes a client's messages: to its event stream, or answered with all that a connection brings",
        ))
        .secured(anywhere)
        .parameter("query", "connection", false, "The name of the connection, from its event `open`.")
        .parameter("query", "device", false, "The name of this device, 1 to 64 characters.")
        .parameter("query", "since", false, "A position such as `18f3a0c2b41-42`, or `new`.")
        .body(&json!({ "application/json": { "schema": { "anyOf": [message, messages] } } }), false)
        .answered(200, "All that a connection would bring.", Some(("application/json", messages)))
        .answered(202, "The connection has the message.", None)
        .refused(TOKEN)
        .refused(PAGE)
        .refused(CONNECT)
        .refused(&[ApiCode::Connection, ApiCode::NotFound, ApiCode::TooManyEvents]),
    ]
}

/// A request that is answered with a page.
fn page(operation: Operation) -> Operation {
    operation
        .parameter("query", "after", false, "A position behind which the page begins, or `-1`, or `now`.")
        .parameter("query", "offset", false, "The same, as Durable Streams call it.")
        .parameter("query", "wait", false, "How long to wait if there is nothing, such as `30s`.")
        .parameter("query", "live", false, "`long-poll`: waits for 20 seconds, unless `wait` says otherwise.")
        .parameter("query", "cursor", false, "The `Stream-Cursor` of the last answer.")
        .parameter("query", "refusals", false, "That of the client's WebSocket; it says nothing here.")
        .answered(204, "Nothing came.", None)
        .refused(&[ApiCode::Parameter, ApiCode::PositionGone])
}

fn producers() -> Vec<Operation> {
    let publish = |path, id, summary| {
        let operation = Operation::new("producers", ("post", path), id, summary);
        let content = json!({
            "application/json": { "schema": {} },
            "application/cloudevents+json": { "schema": reference("CloudEvent") },
            "application/cloudevents-batch+json": { "schema": {
                "type": "array", "items": reference("CloudEvent"), "maxItems": 1000,
            } },
        });
        let stored = json!({ "anyOf": [reference("Stored"), reference("StoredBatch")] });
        operation
            .secured(json!([{ "token": [] }, { "key": [] }]))
            .parameter("header", "Idempotency-Key", false, "The event's id, which counts once.")
            .parameter("header", "Tidings-Deliver-At", false, "When to deliver it, RFC 3339, or `never`.")
            .parameter("header", "Tidings-Delay", false, "After how long to deliver it, such as `2h`.")
            .body(&content, true)
            .answered(200, "`EVENTS` has stored it.", Some(("application/json", stored)))
            .refused(TOKEN)
            .refused(PRODUCER)
            .refused(&[ApiCode::ContentType, ApiCode::IdempotencyKey, ApiCode::BatchTooLarge])
    };
    let path = "/api/v1/events/{name}/scheduled/{id}";
    let cancel = Operation::new("producers", ("delete", path), "cancelEvent", "Cancels an event that waits");
    vec![
        publish("/api/v1/events", "publishEvents", "Publishes CloudEvents: one, or a batch"),
        publish("/api/v1/events/{name}", "publishEvent", "Publishes an event of this name"),
        cancel
            .secured(json!([{ "token": [] }, { "key": [] }]))
            .parameter("query", "source", false, "Its source, if it has one.")
            .gives("The cancellation is stored, whether something waited or not.", "Stored")
            .refused(TOKEN)
            .refused(PRODUCER)
            .refused(&[ApiCode::BodyUnexpected, ApiCode::Path]),
    ]
}

fn consumers() -> Vec<Operation> {
    let list = Operation::admin(("get", "/api/v1/consumers"), "listConsumers", "Lists consumers");
    let one = "/api/v1/consumers/{user}/{device}";
    let at = [ApiCode::ConsumerPath, ApiCode::Path, ApiCode::NotFound];
    vec![
        list.parameter("query", "user", false, "Only those of this user.")
            .lists("A consumer in each line.", "Consumer"),
        Operation::admin(("get", one), "showConsumer", "Shows a consumer")
            .gives("The consumer.", "Consumer")
            .refused(&at),
        Operation::admin(("delete", one), "removeConsumer", "Forgets a consumer")
            .done("It is removed.")
            .refused(&at),
        Operation::admin(
            ("post", "/api/v1/consumers/{user}/{device}/reset"),
            "resetConsumer",
            "Sets the position of a consumer",
        )
        .json("Target", true)
        .gives("Where it is now.", "Reset")
        .refused(&at)
        .refused(&[ApiCode::Position]),
    ]
}

fn users() -> Vec<Operation> {
    let at = [ApiCode::User, ApiCode::Path];
    let change = |path, id, summary| {
        let operation = Operation::admin(("post", path), id, summary).json("Grounds", false);
        operation.gives("What is known of the user now.", "User").refused(&at).refused(&[ApiCode::Reason])
    };
    vec![
        Operation::admin(("get", "/api/v1/users/{user}"), "showUser", "Shows what is known of a user")
            .gives("What is known of the user.", "User")
            .refused(&at)
            .refused(&[ApiCode::NotFound]),
        Operation::admin(
            ("delete", "/api/v1/users/{user}"),
            "purgeUser",
            "Removes the envelopes and consumers of a user",
        )
        .gives("How much was removed.", "Purged")
        .refused(&at),
        change("/api/v1/users/{user}/disable", "disableUser", "Disconnects a user and refuses them"),
        change("/api/v1/users/{user}/enable", "enableUser", "Ends that"),
        change("/api/v1/users/{user}/revoke", "revokeTokens", "Refuses all tokens that were issued so far"),
    ]
}

fn connections() -> Vec<Operation> {
    let all = "/api/v1/connections";
    vec![
        Operation::admin(("get", all), "listConnections", "Lists the connections of all gateways")
            .parameter("query", "user", false, "Only those of this user.")
            .lists("A connection in each line.", "Connection"),
        Operation::admin(("delete", all), "closeConnectionsOfUser", "Closes all connections of a user")
            .parameter("query", "user", true, "The user.")
            .lists("A closed connection in each line.", "Connection")
            .refused(&[ApiCode::User]),
        Operation::admin(("delete", "/api/v1/connections/{id}"), "closeConnection", "Closes a connection")
            .done("It is closed.")
            .refused(&[ApiCode::Connection, ApiCode::Path, ApiCode::NotFound]),
    ]
}

fn rejections() -> Vec<Operation> {
    let one = "/api/v1/rejections/{position}";
    let at = [ApiCode::Position, ApiCode::Path, ApiCode::NotFound];
    vec![
        Operation::admin(
            ("get", "/api/v1/rejections"),
            "listRejections",
            "Lists events that could not be projected",
        )
        .parameter("query", "event", false, "Only this event, `<entity>.<action>`.")
        .parameter("query", "reason", false, "Only those with this reason.")
        .lists("A rejected event in each line, without its payload.", "Rejection")
        .refused(&[ApiCode::Reason]),
        Operation::admin(("get", one), "showRejection", "Shows a rejected event with its payload")
            .gives("The rejected event.", "WholeRejection")
            .refused(&at),
        Operation::admin(("delete", one), "removeRejection", "Removes a rejected event")
            .done("It is removed.")
            .refused(&at)
            .refused(&[ApiCode::Changed]),
        Operation::admin(
            ("post", "/api/v1/rejections/{position}/retry"),
            "retryRejection",
            "Retries a rejected event",
        )
        .json("Nothing", false)
        .gives("Where it lies now.", "Retried")
        .refused(&at)
        .refused(&[ApiCode::EventIncomplete]),
    ]
}

fn keys() -> Vec<Operation> {
    vec![
        Operation::admin(("get", "/api/v1/keys"), "listKeys", "Lists the API keys of producers")
            .lists("A key in each line, without what it is shown as once.", "Key"),
        Operation::admin(("post", "/api/v1/keys"), "createKey", "Makes an API key")
            .json("NewKey", true)
            .gives("The key, which is shown this once.", "MadeKey")
            .refused(&[ApiCode::Reason]),
        Operation::admin(("post", "/api/v1/keys/{id}/revoke"), "revokeKey", "Refuses an API key for good")
            .json("Grounds", false)
            .gives("The key.", "Key")
            .refused(&[ApiCode::Path, ApiCode::NotFound, ApiCode::Reason]),
    ]
}
