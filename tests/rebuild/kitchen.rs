//! A small tenant in a folder of its own, with a catalog for each test.

use std::fs;

use harness::{BOUND, Finished, Setup, System, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Guests are told of dishes, the staff of the newest state of each table, and those present of the heat.
pub(crate) const CATALOG: &str = r#"
    grants = ["user:{sub}", "role:{role}"]
    deliver = "all"
    [[message]]
    name = "dish"
    events = ["dish.ready"]
    schema = "any.schema.json"
    to = "user:{data.guest}"
    body = { type = "dish", dish = "{data.dish}", table = "{data.table}" }
    [[message]]
    name = "table"
    class = "latest"
    key = "{data.table}"
    events = ["table.changed"]
    schema = "any.schema.json"
    to = "role:staff"
    body = { type = "table", table = "{data.table}", state = "{data.state}" }
    [[message]]
    name = "heat"
    class = "ephemeral"
    events = ["heat.measured"]
    schema = "any.schema.json"
    to = "role:staff"
    body = { type = "heat" }
"#;

/// A folder with this catalog of the tenant `kitchen`.
pub(crate) fn schemas(catalog: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("kitchen")).unwrap();
    fs::write(folder.path().join("kitchen/catalog.toml"), catalog).unwrap();
    fs::write(folder.path().join("kitchen/any.schema.json"), "{}").unwrap();
    folder
}

/// A system that runs with [`CATALOG`].
pub(crate) async fn open() -> (System, TempDir) {
    let schemas = schemas(CATALOG);
    (Setup::default().schemas(schemas.path()).start().await, schemas)
}

/// Tells that a dish is ready for a guest.
pub(crate) async fn ready(system: &System, guest: &str, dish: &str) -> u64 {
    let data = json!({ "guest": guest, "dish": dish, "table": 4 });
    system.publish("kitchen", "dish.ready", &data).await
}

/// Runs a subcommand of `tidings projector` to its end and returns what it printed.
pub(crate) async fn run(system: &System, arguments: &[&str]) -> String {
    system.command(&[&["projector"], arguments].concat()).finish(BOUND).await.succeeded()
}

/// Runs a subcommand of `tidings projector` with another catalog than the one that runs.
pub(crate) async fn with_catalog(system: &System, catalog: &str, arguments: &[&str]) -> Finished {
    let schemas = schemas(catalog);
    let command = system.command(&[&["projector"], arguments].concat());
    command.variable("TIDINGS_SCHEMAS__DIRECTORY", schemas.path()).finish(BOUND).await
}

/// What `rebuild --dry-run --json` says with this catalog, as soon as so many events were compared.
pub(crate) async fn dry_run(system: &System, catalog: &str, events: u64, more: &[&str]) -> Value {
    let arguments = [&["rebuild", "--tenant", "kitchen", "--dry-run", "--json"], more].concat();
    eventually("the events are projected", BOUND, async || {
        let printed = with_catalog(system, catalog, &arguments).await.succeeded();
        let report: Value = serde_json::from_str(&printed).unwrap();
        if report["events"] == events { Ok(report) } else { Err(printed) }
    })
    .await
}
