//! A sixth system, and another message of it, are a change of files alone.

use std::fs;

use harness::{BOUND, SCHEMAS, Setup};
use serde_json::json;

const CATALOG: &str = r#"
description = "Garden"
grants = ["bed:{beds}", "role:{role}"]
[topics.weather]
roles = ["gardener"]
[[message]]
name = "watered"
events = ["plant.watered", "plant.sprayed"]
schema = "watered.schema.json"
to = ["bed:{data.bed}", "topic:weather"]
[message.body]
what = "{entity} {action} by {data.litres} l"
litres = "{data.litres}"
note = "{data.note?}"
"#;

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Watered",
  "description": "A plant got water.",
  "type": "object",
  "properties": { "what": { "type": "string" }, "litres": { "type": "number" }, "note": { "type": "string" } },
  "required": ["what", "litres"],
  "additionalProperties": false
}"#;

#[tokio::test]
async fn a_folder_of_files_is_a_tenant() {
    let schemas = tempfile::tempdir().unwrap();
    let garden = schemas.path().join("garden");
    fs::create_dir(&garden).unwrap();
    fs::write(garden.join("catalog.toml"), CATALOG).unwrap();
    fs::write(garden.join("watered.schema.json"), SCHEMA).unwrap();
    std::os::unix::fs::symlink(format!("{SCHEMAS}/uploads"), schemas.path().join("uploads")).unwrap();
    let mut system = Setup::default().schemas(schemas.path()).start().await;

    let mut rose = system.open(json!({ "tenant": "garden", "sub": "ada", "beds": ["rose", "lily"] })).await;
    let mut fern = system.open(json!({ "tenant": "garden", "sub": "bo", "beds": "fern" })).await;
    let upload = json!({ "userId": "ada", "title": "t", "message": "m", "severity": "info" });
    let mut neighbour = system.open(json!({ "tenant": "uploads", "sub": "ada", "beds": "rose" })).await;

    system.publish("garden", "plant.watered", &json!({ "bed": "rose", "litres": 2.50 })).await;
    system.publish("garden", "plant.sprayed", &json!({ "bed": "fern", "litres": 1, "note": "slowly" })).await;
    system.publish("uploads", "notification.created", &upload).await;

    let watered = json!({ "what": "plant watered by 2.5 l", "litres": 2.5 });
    assert_eq!(rose.next_json(BOUND).await, watered);
    let sprayed = json!({ "what": "plant sprayed by 1 l", "litres": 1, "note": "slowly" });
    assert_eq!(fern.next_json(BOUND).await, sprayed);
    assert_eq!(neighbour.next_json(BOUND).await["type"], "notification");
    rose.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}
