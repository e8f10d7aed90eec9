//! The description of a tenant's messages has what passes: every message of the five systems, and of the protocol.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its tests share"
)]
#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use strum::VariantArray as _;
use tidings_catalog::{Catalog, Catalogs, Files, project};
use tidings_model::{RawEvent, Tenant};
use tidings_protocol::client::{self, Limits};
use tidings_protocol::close::CloseCode;
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::server::{GapReason, ServerMessage};
use tidings_types::asyncapi;
use time::OffsetDateTime;

const TENANTS: [&str; 5] = ["cnc", "documents", "ops", "shelter", "uploads"];
const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn folder(tenant: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas").join(tenant)
}

fn read(folder: &Path, is_wanted: fn(&str) -> bool) -> Files {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = paths.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    let wanted = named.filter(|(name, path)| path.is_file() && is_wanted(name));
    wanted.map(|(name, path)| (name, std::fs::read_to_string(path).unwrap())).collect()
}

fn described(tenant: &str) -> (Tenant, Catalog, Value) {
    let (name, files) =
        (Tenant::parse(tenant).unwrap(), read(&folder(tenant), tidings_catalog::is_catalog_file));
    let catalog = Catalog::parse(&name, &files).unwrap();
    let description = asyncapi(&name, &files).unwrap();
    (name, catalog, description)
}

/// Whether a text is as a message of the description says.
#[track_caller]
fn fits(description: &Value, message: &str, text: &str) {
    let payload = &description["components"]["messages"][message]["payload"];
    assert!(payload.is_object(), "there is no {message}");
    let instance: Value = serde_json::from_str(text).unwrap();
    let validator = jsonschema::draft7::new(payload).unwrap();
    let errors: Vec<String> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0], "{message}: {text}");
}

/// Every message that an example becomes is one of the description.
#[test]
fn what_examples_become_is_described() {
    for tenant in TENANTS {
        let (name, catalog, description) = described(tenant);
        let messages: Vec<_> = catalog
            .messages()
            .iter()
            .map(|message| &description["components"]["messages"][key(&description, message.name())]["payload"])
            .map(|payload| jsonschema::draft7::new(payload).unwrap())
            .collect();
        let catalogs = Catalogs::from([(name, catalog)]);
        let mut seen = 0;
        for text in read(&folder(tenant).join("examples"), |name| {
            Path::new(name).extension().is_some_and(|extension| extension == "json")
        })
        .values()
        {
            let example: Value = serde_json::from_str(text).unwrap();
            let (Some(event), Some(data)) = (example["event"].as_str(), example.get("data")) else {
                continue;
            };
            let raw = RawEvent {
                subject: format!("events.{tenant}.{event}"),
                headers: Vec::new(),
                payload: data.to_string().into(),
                position: "5-7".parse().unwrap(),
                stored_at: NOW,
            };
            for envelope in project(&catalogs, &raw, 1024 * 1024).into_iter().flatten() {
                let body = serde_json::from_slice(&envelope.body).unwrap();
                assert!(messages.iter().any(|message| message.is_valid(&body)), "{tenant}: {body}");
                seen += 1;
            }
        }
        assert!(seen > 0, "{tenant}");
    }
}

/// The key of a message of the catalog.
fn key(description: &Value, name: &str) -> String {
    let delivered = description["operations"]["deliver"]["messages"].as_array().unwrap();
    let keys = delivered.iter().map(|message| message["$ref"].as_str().unwrap().rsplit('/').next().unwrap());
    let mut named = keys.filter(|key| description["components"]["messages"][key]["name"] == name);
    named.next().unwrap_or_else(|| panic!("{name} is not described")).to_owned()
}

#[test]
fn what_a_gateway_sends_is_described() {
    let (_, _, description) = described("ops");
    let position = "5-7".parse().unwrap();
    let answers = || [None, Some(MessageId::Text("m".to_owned()))];
    let mut sent = vec![
        ServerMessage::Welcome { position, consumer: "ada/phone", expires: Some(NOW) },
        ServerMessage::Welcome { position, consumer: "ada/phone", expires: None },
        ServerMessage::CaughtUp { position },
        ServerMessage::Draining { reconnect_in_ms: 7 },
    ];
    for reason in [GapReason::Epoch, GapReason::Future, GapReason::Retention] {
        sent.push(ServerMessage::Gap { from: position, to: position, reason });
    }
    for id in answers() {
        let original_message_id = || id.clone();
        sent.extend([
            ServerMessage::Pong { original_message_id: original_message_id() },
            ServerMessage::Subscribed { topics: &["incidents"], original_message_id: original_message_id() },
            ServerMessage::Unsubscribed { topics: &[], original_message_id: original_message_id() },
            ServerMessage::Authenticated { expires: NOW, original_message_id: original_message_id() },
            ServerMessage::Published { id: "e", original_message_id: original_message_id() },
        ]);
    }
    for message in sent {
        // A new message does not compile here, so that it is described, too.
        let name = match &message {
            ServerMessage::Welcome { .. } => "welcome",
            ServerMessage::CaughtUp { .. } => "caught_up",
            ServerMessage::Draining { .. } => "draining",
            ServerMessage::Gap { .. } => "gap",
            ServerMessage::Pong { .. } => "pong",
            ServerMessage::Subscribed { .. } => "subscribed",
            ServerMessage::Unsubscribed { .. } => "unsubscribed",
            ServerMessage::Authenticated { .. } => "authenticated",
            ServerMessage::Published { .. } => "published",
        };
        fits(&description, name, &message.to_json(NOW));
    }
    for code in ErrorCode::VARIANTS {
        fits(&description, "error", &ErrorMessage::new(*code, "no").to_json(NOW));
    }
    let closes = description["channels"]["connection"]["x-close-codes"].as_array().unwrap();
    let closes: BTreeSet<u64> = closes.iter().map(|close| close["code"].as_u64().unwrap()).collect();
    assert_eq!(closes, CloseCode::VARIANTS.iter().map(|code| u64::from(u16::from(*code))).collect());
}

/// What a client is told to send is understood.
#[test]
fn what_a_client_sends_is_described() {
    let (_, _, description) = described("ops");
    for (name, message) in [
        (
            "subscribe",
            json!({ "action": "subscribe", "topics": ["incidents"], "filters": { "squad": ["platform"] }, "id": 1 }),
        ),
        ("unsubscribe", json!({ "action": "unsubscribe", "topics": ["incidents"] })),
        ("ping", json!({ "action": "ping", "id": "p" })),
        ("ack", json!({ "action": "ack", "seq": 7 })),
        ("authenticate", json!({ "action": "authenticate", "token": "t" })),
    ] {
        fits(&description, name, &message.to_string());
        assert!(client::parse(&message.to_string(), &Limits::default()).is_ok(), "{message}");
        assert_eq!(description["operations"][name]["action"], "receive");
    }
}

/// Topics, requests and publications of the catalogs.
#[test]
fn what_catalogs_permit_is_described() {
    let (_, _, ops) = described("ops");
    let topics: BTreeSet<_> =
        ops["components"]["messages"]["subscribe"]["payload"]["properties"]["topics"]["items"]["enum"]
            .as_array()
            .unwrap()
            .iter()
            .map(|topic| topic.as_str().unwrap().to_owned())
            .collect();
    let channels = ops["channels"].as_object().unwrap();
    let addresses = channels.values().map(|channel| channel["address"].as_str().unwrap().to_owned());
    assert_eq!(addresses.filter(|address| address != "/api/ws").collect::<BTreeSet<_>>(), topics);
    assert!(ops["channels"]["topicIncidents"]["x-filters"].as_array().unwrap().contains(&json!("squad")));

    let (_, catalog, documents) = described("documents");
    let ask = &documents["operations"]["askProgress"];
    assert!(catalog.route("progress").is_some() && ask["action"] == "receive", "{ask}");
    let answers = ask["reply"]["messages"].as_array().unwrap();
    for message in ["ProgressMessage", "error"] {
        assert!(
            answers.contains(&json!({ "$ref": format!("#/channels/connection/messages/{message}") })),
            "{ask}"
        );
    }

    let (_, _, shelter) = described("shelter");
    let published =
        shelter["operations"].as_object().unwrap().keys().filter(|key| key.starts_with("publish"));
    assert!(published.count() > 0, "{shelter}");
}
