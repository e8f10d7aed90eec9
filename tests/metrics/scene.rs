//! A projector and gateways whose figures can be read.

use std::fs;
use std::path::Path;

use harness::{BOUND, Client, Dial, SECRET, Setup, System, Tidings, token};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::canary;

/// Messages of each kind that figures tell apart.
const CATALOG: &str = r#"
description = "Lab: one message of each kind"
grants = ["user:{sub}"]
deliver = "new"

[[message]]
name = "note"
events = ["note.sent"]
schema = "any.schema.json"
to = "user:{data.user}"
[message.body]
n = "{data.n}"
padding = "{data.padding?}"
[[message.fallback]]
channel = "webhook"
after = "0s"

[[message]]
name = "gauge"
events = ["gauge.read"]
schema = "any.schema.json"
to = "user:{data.user}"
class = "latest"
key = "{data.user}"
max_rate = "2/s"
[message.body]
n = "{data.n}"

[[message]]
name = "canary"
events = ["canary.sent"]
schema = "canary.schema.json"
to = "user:{data.user}"
class = "ephemeral"
ttl = "5s"
[message.body]
type = "canary"
id = "{data.id}"

[[publish]]
action = "note"
event = "note.sent"
"#;
const SCHEMA: &str = include_str!("../resume/lab/any.schema.json");

/// A variable for the listener of metrics.
pub(crate) const LISTEN: (&str, &str) = ("TIDINGS_TELEMETRY__METRICS_LISTEN", "127.0.0.1:0");

pub(crate) struct Scene {
    pub(crate) system: System,
    /// Where the figures of the gateway and of the projector are.
    pub(crate) gateway: String,
    pub(crate) projector: String,
    schemas: TempDir,
}

impl Scene {
    /// A system with these variables besides, and limits of the tenant `lab` that its clients meet.
    pub(crate) async fn start(change: impl FnOnce(Setup) -> Setup) -> Self {
        let schemas = tempfile::tempdir().unwrap();
        fs::create_dir(schemas.path().join("lab")).unwrap();
        fs::write(schemas.path().join("lab/any.schema.json"), SCHEMA).unwrap();
        fs::write(schemas.path().join("lab/canary.schema.json"), canary::documented("json")).unwrap();
        write_catalog(schemas.path(), CATALOG);
        let setup = Setup::default().schemas(schemas.path()).variable(LISTEN.0, LISTEN.1);
        let mut system = change(setup).start().await;
        let gateway = address_of(&mut system.gateway).await;
        let projector = address_of(&mut system.projector).await;
        Self { system, gateway, projector, schemas }
    }

    /// Where all figures are.
    pub(crate) fn addresses(&self) -> [&str; 2] {
        [&self.gateway, &self.projector]
    }

    /// Publishes a message for a user.
    pub(crate) async fn note(&self, user: &str, n: u64, padding: &str) {
        self.system.publish("lab", "note.sent", &json!({ "user": user, "n": n, "padding": padding })).await;
    }

    /// A handshake of a user's device at a gateway.
    pub(crate) fn dial(gateway: &str, user: &str, device: &str) -> Dial {
        let claims = json!({ "tenant": "lab", "sub": user });
        Dial::new(gateway).bearer(&token(SECRET, claims)).query("device", device)
    }

    /// A client of `tidings.v1`, with its welcome read.
    pub(crate) async fn sequenced(gateway: &str, user: &str, device: &str) -> Client {
        let mut client = Self::dial(gateway, user, device).subprotocol("tidings.v1").open().await;
        client.until(BOUND, is_caught_up).await;
        client
    }

    /// Where clients connect.
    pub(crate) fn gateway_address(&self) -> String {
        self.system.address().to_owned()
    }

    /// Writes another catalog that is as good.
    pub(crate) fn change_catalog(&self) {
        write_catalog(self.schemas.path(), &CATALOG.replace("Lab:", "Laboratory:"));
    }

    /// Writes a catalog that has an error, or the one that runs.
    pub(crate) fn spoil_catalog(&self, is_spoiled: bool) {
        write_catalog(self.schemas.path(), if is_spoiled { "no = catalog" } else { CATALOG });
    }
}

pub(crate) fn is_caught_up(message: &Value) -> bool {
    message["action"] == "caught_up"
}

/// The catalog that runs.
pub(crate) fn catalog() -> &'static str {
    CATALOG
}

fn write_catalog(schemas: &Path, catalog: &str) {
    fs::write(schemas.join("lab/catalog.toml"), catalog).unwrap();
}

/// Where a process serves its figures.
pub(crate) async fn address_of(process: &mut Tidings) -> String {
    let line = process.line("metrics are served", BOUND).await;
    let (_, rest) = line.split_once("127.0.0.1:").unwrap();
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    format!("http://127.0.0.1:{port}")
}
