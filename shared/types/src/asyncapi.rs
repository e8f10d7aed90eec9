//! `AsyncAPI` 3.0: everything that passes between a gateway and a tenant's clients, from the tenant's catalog.
//!
//! The gateway is the application that is described, so it *sends* messages and *receives* subscriptions and publications. Schemas
//! are those of the catalog as far as its shapes tell, in the dialect of `AsyncAPI`, so every tool reads them. What `AsyncAPI` has no
//! word for, close codes and the filters of a topic, is in extensions (`x-…`).

mod control;

use serde_json::{Map, Value, json};
use strum::VariantArray as _;
use tidings_catalog::{
    Catalog, CatalogError, ClientShapes, Files, Member, PublicationShape, RouteShape, Shape, ToldGap,
    client_shapes,
};
use tidings_model::Tenant;
use tidings_protocol::close::{CloseCode, Reconnect, reconnect};

use self::control::Control;
use crate::names::Names;

const ABOUT: &str = "Clients connect with a JSON Web Token of this tenant. With the subprotocol `tidings.v1` each message has `seq` \
                     and `id` in front and there are control messages; without it, messages are exactly as the catalog renders \
                     them. `GET /api/sse` brings the same as events, and `POST /api/messages` takes what a client sends. Times \
                     are RFC 3339 in UTC with milliseconds.";

/// Returns the description of a tenant's messages.
pub fn asyncapi(tenant: &Tenant, files: &Files) -> Result<Value, CatalogError> {
    let (catalog, shapes) = (Catalog::parse(tenant, files)?, client_shapes(tenant, files)?);
    Ok(Description::default().of(tenant, &catalog, &shapes))
}

/// The parts of the document, by their keys.
#[derive(Default)]
struct Description {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    /// What the channel of connections has.
    connection: Map<String, Value>,
}

impl Description {
    fn of(mut self, tenant: &Tenant, catalog: &Catalog, shapes: &ClientShapes) -> Value {
        // A message, a topic and a verb may have one name; what stands before them keeps them apart.
        let [mut names, mut topics, mut verbs] = std::array::from_fn(|_| Names::except(&[]));
        let delivered: Vec<(String, String)> = shapes
            .messages
            .iter()
            .map(|message| (message.name.clone(), names.camel(&message.name)))
            .collect();
        for (message, (_, key)) in shapes.messages.iter().zip(&delivered) {
            let payload = sequenced(schema(&message.body));
            self.message(&format!("{key}Message"), &message.name, &message.documentation, &payload);
        }
        let of = |name: &str| {
            let found = delivered.iter().find(|(message, _)| message == name);
            found.map(|(_, key)| format!("{key}Message"))
        };
        let all: Vec<String> = delivered.iter().map(|(_, key)| format!("{key}Message")).collect();
        self.special(catalog);
        self.operation("deliver", "send", "Delivers what the token's grants and the topics open.", &all);
        for (topic, attributes) in &shapes.topics {
            let key = topics.camel(topic);
            let at_topic: Option<Vec<String>> = catalog
                .topic(topic)
                .map(|topic| catalog.messages_at(&topic.address).filter_map(of).collect());
            self.topic((topic, &key), attributes, &at_topic.unwrap_or_default());
        }
        for control in Control::all(shapes) {
            self.control(&control);
        }
        for route in &shapes.routes {
            let key = verbs.camel(&route.action);
            self.route(&key, route, route.answers.iter().filter_map(|name| of(name)).collect());
        }
        for publication in &shapes.publications {
            let kind = publication.kind.as_deref().unwrap_or_default();
            let key = verbs.camel(&format!("{}-{kind}", publication.action));
            self.publication(&key, publication);
        }
        self.document(tenant)
    }

    /// Adds a message, which a connection carries.
    fn message(&mut self, key: &str, name: &str, about: &str, payload: &Value) {
        let (title, rest) = about.split_once("\n\n").unwrap_or((about, ""));
        let mut message = json!({ "name": name, "contentType": "application/json", "payload": payload });
        for (member, text) in [("title", title), ("description", rest)] {
            if !text.is_empty() {
                message[member] = text.into();
            }
        }
        self.messages.insert(key.to_owned(), message);
        self.connection.insert(key.to_owned(), json!({ "$ref": format!("#/components/messages/{key}") }));
    }

    /// Adds an operation of the connection.
    fn operation(&mut self, key: &str, action: &str, about: &str, messages: &[String]) {
        let operation = json!({
            "action": action,
            "summary": about,
            "channel": { "$ref": "#/channels/connection" },
            "messages": of_channel("connection", messages),
        });
        self.operations.insert(key.to_owned(), operation);
    }

    /// Adds a client's message and what it is answered with, besides an error.
    fn request(&mut self, key: &str, about: &str, mut answers: Vec<String>) {
        self.operation(key, "receive", about, &[key.to_owned()]);
        answers.push("error".to_owned());
        let channel = json!({ "$ref": "#/channels/connection" });
        self.operations[key]["reply"] =
            json!({ "channel": channel, "messages": of_channel("connection", &answers) });
    }

    /// Adds the digest and the notice of a gap for plain clients, if the catalog has them.
    fn special(&mut self, catalog: &Catalog) {
        if let Some(digest) = catalog.digest() {
            let joined = String::from_utf8_lossy(&digest.join(&[] as &[&[u8]])).into_owned();
            let about =
                "A digest\n\nSeveral messages as one; the empty list stands for the place where they are.";
            let payload = json!({ "type": "object", "examples": [example(&joined)] });
            self.message("digest", "digest", about, &payload);
            self.operation(
                "deliverDigest",
                "send",
                "Delivers what came within a time together.",
                &["digest".to_owned()],
            );
        }
        let gap = ToldGap { from: "1-7", to: "1-9", reason: "retention", time: "2025-01-17T16:00:00.000Z" };
        if let Some(notice) = catalog.gap(gap) {
            let payload = json!({ "type": "object", "examples": [example(&notice)] });
            self.message(
                "plainGap",
                "gap",
                "Messages are missing\n\nFor clients without `tidings.v1`.",
                &payload,
            );
            let about = "Tells plain clients that something cannot be delivered.";
            self.operation("tellPlainGap", "send", about, &["plainGap".to_owned()]);
        }
    }

    fn topic(&mut self, (topic, key): (&str, &str), attributes: &[String], messages: &[String]) {
        let channel = format!("topic{key}");
        let of: Map<String, Value> = messages
            .iter()
            .map(|message| (message.clone(), json!({ "$ref": format!("#/components/messages/{message}") })))
            .collect();
        self.channels.insert(
            channel.clone(),
            json!({
                "address": topic,
                "title": format!("Topic `{topic}`"),
                "description": "Opened on a connection by `subscribe`.",
                "messages": of,
                "x-filters": attributes,
            }),
        );
        self.operations.insert(
            format!("deliverTopic{key}"),
            json!({
                "action": "send",
                "summary": format!("Delivers to the subscribers of `{topic}`."),
                "channel": { "$ref": format!("#/channels/{channel}") },
                "messages": of_channel(&channel, messages),
            }),
        );
    }

    fn control(&mut self, control: &Control) {
        let Control { name, about, payload, answers } = control;
        self.message(name, name, about, payload);
        match answers {
            None => self.operation(&format!("send{name}"), "send", about, &[(*name).to_owned()]),
            Some(answers) => {
                self.request(name, about, answers.iter().map(|answer| (*answer).to_owned()).collect());
            }
        }
    }

    fn route(&mut self, key: &str, route: &RouteShape, answers: Vec<String>) {
        let key = format!("ask{key}");
        let about = format!("Asks for the newest message: `{}`", route.action);
        self.message(&key, &route.action, &about, &asked(&route.members, &[("action", &route.action)]));
        self.request(&key, &about, answers);
    }

    fn publication(&mut self, key: &str, PublicationShape { action, kind, members }: &PublicationShape) {
        let key = format!("publish{key}");
        let about = "Publishes a message, which becomes an event, where the catalog permits it.";
        let verbs: Vec<(&str, &String)> =
            [("action", action)].into_iter().chain(kind.as_ref().map(|kind| ("type", kind))).collect();
        self.message(&key, action, about, &asked(members, &verbs));
        self.request(&key, about, vec!["published".to_owned()]);
    }

    fn document(mut self, tenant: &Tenant) -> Value {
        let closes: Vec<Value> = CloseCode::VARIANTS.iter().map(|code| close(*code)).collect();
        self.channels.insert(
            "connection".to_owned(),
            json!({
                "address": "/api/ws",
                "title": "A connection",
                "messages": self.connection,
                "bindings": { "ws": { "method": "GET", "query": query() } },
                "x-subprotocol": tidings_protocol::server::SUBPROTOCOL,
                "x-close-codes": closes,
            }),
        );
        json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": format!("Tidings: clients of tenant {tenant}"),
                "version": env!("CARGO_PKG_VERSION"),
                "description": ABOUT,
                "license": { "name": "Apache-2.0" },
            },
            "defaultContentType": "application/json",
            "channels": self.channels,
            "operations": self.operations,
            "components": {
                "messages": self.messages,
                "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
            },
        })
    }
}

fn of_channel(channel: &str, messages: &[String]) -> Vec<Value> {
    messages.iter().map(|key| json!({ "$ref": format!("#/channels/{channel}/messages/{key}") })).collect()
}

fn close(code: CloseCode) -> Value {
    let comes_again = reconnect(Some(code.into())) == Reconnect::WithBackoff;
    json!({ "code": u16::from(code), "meaning": code.meaning(), "reconnect": comes_again })
}

/// The parameters of a handshake.
fn query() -> Value {
    let text = |about| json!({ "type": "string", "description": about });
    json!({ "type": "object", "properties": {
        "device": text("The name of this device, 1 to 64 characters."),
        "since": text("A position such as `18f3a0c2b41-42`, or `new`."),
        "refusals": text("`close`: a refused handshake is answered by a Close."),
        "token": text("The token, where the header `Authorization` cannot be set."),
    } })
}

/// A text that was rendered as JSON.
fn example(text: &str) -> Value {
    tidings_model::json::parse(text.as_bytes()).unwrap_or_default()
}

/// The schema of a shape.
fn schema(shape: &Shape) -> Value {
    match shape {
        Shape::Any => json!({}),
        Shape::Text => json!({ "type": "string" }),
        Shape::Choice(texts) => json!({ "type": "string", "enum": texts }),
        Shape::Integer => json!({ "type": "integer" }),
        Shape::Unsigned => json!({ "type": "integer", "minimum": 0 }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::List(element) => json!({ "type": "array", "items": schema(element) }),
        Shape::Object { members, is_open } => {
            let properties: Map<String, Value> =
                members.iter().map(|member| (member.name.clone(), documented(member))).collect();
            let required: Vec<&String> =
                members.iter().filter(|member| member.is_required).map(|member| &member.name).collect();
            let mut object = json!({ "type": "object", "properties": properties });
            if !required.is_empty() {
                object["required"] = json!(required);
            }
            if !is_open {
                object["additionalProperties"] = false.into();
            }
            object
        }
    }
}

fn documented(member: &Member) -> Value {
    let mut schema = schema(&member.shape);
    if !member.documentation.is_empty() {
        schema["description"] = member.documentation.as_str().into();
    }
    schema
}

/// A body with what stands in front of it for sequenced clients.
fn sequenced(mut body: Value) -> Value {
    if let Some(Value::Object(properties)) = body.get_mut("properties") {
        let sequence =
            json!({ "type": "integer", "description": "With `tidings.v1`: acknowledged by `ack`." });
        properties.entry("seq").or_insert(sequence);
        let id = json!({ "type": "string", "description": "With `tidings.v1`: the event's id." });
        properties.entry("id").or_insert(id);
    }
    body
}

/// A client's message of the catalog: its verbs, its id, and its members.
fn asked(members: &Shape, verbs: &[(&str, &String)]) -> Value {
    let mut asked = schema(members);
    for (name, verb) in verbs {
        asked["properties"][*name] = json!({ "type": "string", "const": verb });
    }
    let mut required: Vec<Value> = verbs.iter().map(|(name, _)| json!(name)).collect();
    required.extend(
        asked["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|name| !required.contains(name))
            .cloned()
            .collect::<Vec<_>>(),
    );
    asked["required"] = required.into();
    if let Some(Value::Object(properties)) = asked.get_mut("properties") {
        properties.entry("id").or_insert_with(control::message_id);
    }
    if let Value::Object(schema) = &mut asked {
        // Further members are ignored.
        schema.remove("additionalProperties");
    }
    asked
}
