//! A small tenant whose catalog the tests change.

use std::fs;

use harness::BOUND;
use serde_json::{Value, json};

use crate::command::Desk;

/// Guests are told of dishes; the schema allows only these tables.
pub(crate) fn write(desk: &Desk, events: &[&str], tables: &Value) {
    let folder = desk.folder().join("schemas/kitchen");
    fs::create_dir_all(folder.join("examples")).unwrap();
    let schema = json!({ "type": "object", "properties": { "table": { "enum": tables } } });
    fs::write(folder.join("dish.schema.json"), schema.to_string()).unwrap();
    let example = json!({
        "event": "dish.ready",
        "data": { "guest": "ada", "table": 1 },
        "becomes": { "to": ["user:ada"], "message": { "type": "dish", "table": 1 } },
    });
    fs::write(folder.join("examples/ready.json"), example.to_string()).unwrap();
    let catalog = format!(
        r#"
        grants = ["user:{{sub}}"]
        deliver = "all"
        [[message]]
        name = "dish"
        events = {events:?}
        schema = "dish.schema.json"
        to = "user:{{data.guest}}"
        body = {{ type = "dish", table = "{{data.table}}" }}
        "#
    );
    fs::write(folder.join("catalog.toml"), catalog).unwrap();
}

/// Tells the kitchen that a dish is ready for Ada.
pub(crate) async fn publish(desk: &Desk, event: &str, id: &str, table: u64) {
    let data = json!({ "guest": "ada", "table": table }).to_string();
    let arguments = ["publish", "--no-wait", "--tenant", "kitchen", event, "--id", id, "--data", &data];
    desk.tidings(&arguments).finish(BOUND).await.succeeded();
}
