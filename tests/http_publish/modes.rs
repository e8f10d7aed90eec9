//! The ways to send an event: plain JSON, structured, binary; and that clients receive the same.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, stream::Config};
use harness::{BOUND, SECRET, Setup, System, eventually, token};
use serde_json::{Value, json};

use crate::{Post, cloud_event, events, incident, incidents_until_end, listener, producer};

#[tokio::test]
async fn every_mode_publishes() {
    let mut system = System::start().await;
    let mut ada = listener(&system).await;
    let post = || Post::to(system.address(), &producer(&json!({})));
    let plain = post().event("incident.created").json(&incident("1")).send().await.good();
    assert_eq!(
        (&plain["stream"], &plain["sequence"], &plain["duplicate"]),
        (&json!("EVENTS"), &json!(1), &json!(false))
    );
    assert!(plain["id"].as_str().is_some_and(|id| id.len() == 36), "{plain}");
    assert_eq!(plain.get("source"), None);

    let structured = post().cloud_event(&cloud_event("e-2", "2")).send().await.good();
    let expected =
        json!({ "id": "e-2", "source": "/incidents", "stream": "EVENTS", "sequence": 2, "duplicate": false });
    assert_eq!(structured, expected);

    let binary = post()
        .json(&incident("3"))
        .header("ce-specversion", "1.0")
        .header("ce-id", "e%203")
        .header("ce-source", "/incidents")
        .header("ce-type", "com.example.incident")
        .event("incident.created");
    assert_eq!(binary.send().await.good()["id"], "e 3");
    // The type names the event where the path does not.
    let other_type = post()
        .json(&incident("4"))
        .header("ce-specversion", "1.0")
        .header("ce-id", "e-4")
        .header("ce-source", "/incidents")
        .header("ce-type", "incident.created");
    assert_eq!(other_type.send().await.good()["sequence"], 4);
    // As NATS, a CloudEvent is one without the declaration, too.
    assert_eq!(post().json(&cloud_event("e-5", "5")).send().await.good()["id"], "e-5");
    let batch = post().batch(&[cloud_event("e-6", "6"), cloud_event("e-7", "7")]).send().await.good();
    let sequences: Vec<_> =
        batch["events"].as_array().unwrap().iter().map(|event| event["sequence"].clone()).collect();
    assert_eq!(sequences, [6, 7]);
    assert_eq!(post().batch(&[]).send().await.good(), json!({ "events": [] }));

    assert_eq!(incidents_until_end(&system, &mut ada).await, ["1", "2", "3", "4", "5", "6", "7"]);
    for event in events(&system).await {
        assert_eq!(event.subject.as_str(), "events.ops.incident.created");
        assert_eq!(event.headers.get("Nats-Msg-Id"), None, "nats-server would deduplicate across tenants");
    }
    system.check_well();
}

const MODES: [&str; 8] = [
    "nats",
    "nats-binary",
    "http",
    "http-binary",
    "http-batch",
    "http-undeclared",
    "source",
    "source-binary",
];

/// A stream of a team's own, of which each half is a source of another tenant.
const SOURCES: &str = r#"
[[projector.sources]]
name = "structured"
stream = "NOTES"
subjects = ["notes.structured.*"]
tenant = "source"
event = "note.{subject.3}"

[[projector.sources]]
name = "binary"
stream = "NOTES"
subjects = ["notes.binary"]
tenant = "source-binary"
event = "{header.ce-type}"
"#;

/// The same event for eight tenants with one catalog, each in another mode.
#[tokio::test]
async fn every_mode_makes_the_same_envelopes() {
    let schemas = tempfile::tempdir().unwrap();
    for tenant in MODES {
        let folder = schemas.path().join(tenant);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("note.schema.json"), "{}").unwrap();
        let catalog = "description = \"d\"\ngrants = [\"user:{sub}\"]\n[topics.notes]\n[[message]]\nname = \"note\"\n\
            events = [\"note.added\"]\nschema = \"note.schema.json\"\nto = \"topic:notes\"\n\
            attributes = { tag = \"{data.tag?}\" }\n[message.body]\nid = \"{id}\"\nsource = \"{source?}\"\n\
            subject = \"{subject?}\"\nat = \"{time}\"\ndata = \"{data}\"\n";
        std::fs::write(folder.join("catalog.toml"), catalog).unwrap();
    }
    let mut system = Setup::default().schemas(schemas.path()).file(SOURCES).start().await;
    let notes =
        Config { name: "NOTES".to_owned(), subjects: vec!["notes.>".to_owned()], ..Config::default() };
    jetstream::new(system.client().clone()).create_stream(notes).await.unwrap();
    let samples = [
        json!({ "tag": "a", "n": 1.50, "big": 123_456_789_012_345_678_u64, "nested": { "b": [null, true, "é\n"], "a": {} } }),
        json!("a text"),
        json!([1, 2, { "tag": "x" }]),
        Value::Null,
    ];
    for (number, data) in samples.iter().enumerate() {
        publish_in_all_modes(&system, &format!("é {number} \"%"), data).await;
    }
    let stream = jetstream::new(system.client().clone()).get_stream("ENVELOPES").await.unwrap();
    let envelopes = async |tenant: &str| {
        let mut found = Vec::new();
        for sequence in 1..=stream.get_info().await.unwrap().state.last_sequence {
            let Ok(message) = stream.get_raw_message(sequence).await else { continue };
            let is_of_tenant = message
                .subject
                .split('.')
                .any(|token| token == tenant || token.starts_with(&format!("{tenant}~")));
            if message.headers.get("Tidings-Origin").is_some() && is_of_tenant {
                let header = |name| message.headers.get(name).map(|value| value.as_str().to_owned());
                // The id begins with the tenant and the event's position.
                let id = header("Nats-Msg-Id").and_then(|id| Some(id.split_once('/')?.1.to_owned()));
                let headers = [id, header("Tidings-Attributes"), header("Tidings-Expires")];
                found.push((message.payload.to_vec(), headers));
            }
        }
        found
    };
    let expected = eventually("all are projected", BOUND, async || {
        let mut all = Vec::new();
        for tenant in MODES {
            all.push(envelopes(tenant).await);
        }
        let counts: Vec<_> = all.iter().map(Vec::len).collect();
        if counts.iter().all(|count| *count == samples.len()) { Ok(all) } else { Err(format!("{counts:?}")) }
    })
    .await;
    for (tenant, found) in MODES.iter().zip(&expected) {
        assert_eq!(found, &expected[0], "{tenant}");
    }
    let distinct: BTreeSet<_> = expected[0].iter().map(|(payload, _)| payload).collect();
    assert_eq!(distinct.len(), samples.len());
    system.check_well();
}

async fn publish_in_all_modes(system: &System, id: &str, data: &Value) {
    let (source, subject, time) = ("/notes é", "n-1", "2025-01-17 10:30+0100");
    let event = json!({
        "specversion": "1.0", "id": id, "source": source, "type": "note.added", "subject": subject, "time": time,
        "data": data,
    });
    let encoded = [
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", id.replace('%', "%25").replace('é', "%C3%A9").replace(' ', "%20").replace('"', "%22")),
        ("ce-source", "/notes%20%C3%A9".to_owned()),
        ("ce-type", "note.added".to_owned()),
        ("ce-subject", subject.to_owned()),
        ("ce-time", time.to_owned()),
    ];
    let mut structured = HeaderMap::new();
    structured.insert("Content-Type", "application/cloudevents+json");
    system.publish_raw("events.nats.note.added", structured.clone(), event.to_string()).await;
    system.publish_raw("notes.structured.added", structured, event.to_string()).await;
    let mut binary = HeaderMap::new();
    for (name, value) in &encoded {
        binary.insert(*name, value.as_str());
    }
    system.publish_raw("events.nats-binary.note.added", binary.clone(), data.to_string()).await;
    system.publish_raw("notes.binary", binary, data.to_string()).await;
    let bearer =
        |tenant: &str| token(SECRET, json!({ "tenant": tenant, "sub": "p", "scope": "tidings:publish" }));
    let post = |tenant: &str| Post::to(system.address(), &bearer(tenant));
    post("http").cloud_event(&event).send().await.good();
    let binary = encoded
        .into_iter()
        .fold(post("http-binary").json(data), |post, (name, value)| post.header(name, value));
    binary.send().await.good();
    post("http-batch").batch(std::slice::from_ref(&event)).send().await.good();
    post("http-undeclared").json(&event).send().await.good();
}
