//! The producers in TypeScript and Python against real processes: the documents' own code, each event once and in order while
//! gateways are killed, over HTTP, and nats-server, over NATS.

use std::path::{Path, PathBuf};
use std::process::Command;

use async_nats::jetstream;
use harness::{BOUND, Client, Gateway, Launch, System, free_port};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::workshop;

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/producer-python");

/// Kills may meet a gateway that is just starting, on a machine that does other things, too.
const LONG: std::time::Duration = std::time::Duration::from_secs(120);

/// A system, a gateway for producers that may be killed, and Ada, who listens at another.
struct Scene {
    system: System,
    gateway: Gateway,
    listen: String,
    key: String,
    ada: Client,
}

impl Scene {
    async fn start() -> Self {
        let system = System::start().await;
        let listen = format!("127.0.0.1:{}", free_port());
        let gateway = system.another_gateway(&[("TIDINGS_GATEWAY__LISTEN", &listen)]).await;
        let key = key(&system, "uploads").await;
        let ada = system.open(json!({ "tenant": "uploads", "sub": "ada" })).await;
        Self { system, gateway, listen, key, ada }
    }

    /// A program with what the documents tell their readers to set.
    fn program(&self, script: &str) -> Launch {
        Launch::shell(script)
            .variable("TIDINGS_URL", format!("http://{}", self.listen))
            .variable("TIDINGS_KEY", &self.key)
            .variable("TIDINGS_SOURCE", "/uploads")
            .variable("TIDINGS_NATS", self.system.nats.url())
    }

    /// The data of so many messages that Ada receives.
    async fn received(&mut self, count: usize) -> Vec<Value> {
        let mut received = Vec::new();
        while received.len() < count {
            received.push(self.ada.next_json(LONG).await);
        }
        received
    }

    /// The program publishes so many notifications while its gateway, or nats-server, is killed after some of them.
    async fn publish_through_kills(&mut self, script: &str, mode: &str, count: usize, kill_after: &[usize]) {
        let mut program = self.program(&format!("{script} {mode} {count}")).start();
        for number in kill_after {
            program.line(&format!("stored {number}"), LONG).await;
            if mode == "nats" {
                self.system.nats.kill().await.unwrap();
                self.system.nats.restart().await.unwrap();
            } else {
                self.kill().await;
            }
        }
        let (status, output) = program.end(LONG).await;
        assert!(status.success() && output.contains("publish: done"), "{output}");
        // Node sends nothing before all are given, which fills the buffer.
        assert!(output.contains("refused full") || !script.contains("node"), "{output}");
        // Of a repetition over NATS, the projector knows alone.
        assert!(output.contains("again true") || mode == "nats", "{output}");
        let titles: Vec<_> =
            self.received(count).await.iter().map(|message| message["data"]["title"].clone()).collect();
        let expected: Vec<_> = (0..count).map(|number| json!(number.to_string())).collect();
        assert_eq!(titles, expected, "{mode}: each once and in order");
    }

    /// Kills the producers' gateway, and starts it again where it was.
    async fn kill(&mut self) {
        self.gateway.process.signal(Signal::KILL);
        self.gateway = self.system.another_gateway(&[("TIDINGS_GATEWAY__LISTEN", &self.listen)]).await;
    }

    /// Nothing has come that was not asked for.
    async fn check_well(mut self) {
        self.ada.expect_nothing_before_pong(BOUND).await;
        self.system.check_well();
    }
}

/// The data of the tenant's events of a kind, in order.
async fn events(system: &System, name: &str) -> Vec<Value> {
    let stream = jetstream::new(system.client().clone()).get_stream("EVENTS").await.unwrap();
    let mut events = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        let event = stream.get_raw_message(sequence).await.unwrap();
        if event.subject.ends_with(name) {
            let mut event: Value = serde_json::from_slice(&event.payload).unwrap();
            events.push(event["data"].take());
        }
    }
    events
}

async fn key(system: &System, tenant: &str) -> String {
    let create = ["keys", "create", "--tenant", tenant, "--event", "*"];
    system.command(&create).finish(BOUND).await.succeeded().trim_end().to_owned()
}

#[tokio::test]
async fn the_producer_for_node_publishes_the_documents_code_and_each_event_once() {
    let built = workshop::built();
    let node = |name: &str| format!("exec node --enable-source-maps '{}'", built.join(name).display());
    let mut scene = Scene::start().await;
    // The five minutes of its own document.
    scene.program(&node("start.mjs")).finish(LONG).await.succeeded();
    assert_eq!(scene.received(1).await[0]["data"]["message"], "Parsing row 5000...");

    let mut responder =
        scene.system.open(json!({ "tenant": "shelter", "sub": "r", "role": "first_responder" })).await;
    let shelter = key(&scene.system, "shelter").await;
    let document = scene.program(&format!("{} document", node("publish.mjs")));
    document.variable("TIDINGS_SHELTER_KEY", shelter).finish(LONG).await.succeeded();
    // Of progress, a client is sent the newest; `EVENTS` has all.
    let messages = scene.ada.until(LONG, |message| message["data"]["title"] == "Upload Failed").await;
    let progress = messages.iter().rfind(|message| message["type"] == "upload_progress").unwrap();
    assert_eq!(progress["data"]["message"], "Parsing row 200...");
    let complete = json!({
        "title": "Upload Complete", "message": "Your file has been uploaded successfully", "severity": "success",
        "actionUrl": "/mocs/moc-1", "actionLabel": "View MOC",
    });
    assert_eq!(messages[messages.len() - 2]["data"], complete);
    assert_eq!(messages[messages.len() - 1]["data"]["severity"], "error");
    let events = events(&scene.system, "upload.progressed").await;
    let said: Vec<_> = events.iter().skip(1).map(|data| data["message"].as_str().unwrap()).collect();
    assert_eq!(
        said,
        ["Starting CSV parsing...", "CSV parsing complete!", "Parsing row 100...", "Parsing row 200..."]
    );
    let row = json!({
        "uploadId": "moc-1", "fileName": "parts-list.csv", "progress": 0.5, "message": "Parsing row 100...",
        "currentRow": 100, "totalRows": 10_000, "userId": "ada",
    });
    assert_eq!(events[3], row);
    let update = responder.next_json(BOUND).await;
    assert_eq!((&update["type"], &update["data"]["occupancy"]), (&json!("shelter_update"), &json!(150)));
    assert_eq!(responder.next_json(BOUND).await["data"]["title"], "Storm");

    scene.publish_through_kills(&node("publish.mjs"), "http", 600, &[0, 200, 400]).await;
    scene.publish_through_kills(&node("publish.mjs"), "nats", 300, &[20, 150]).await;
    scene.check_well().await;
}

/// Runs Python with what the producer needs, if it is there.
fn python() -> Option<PathBuf> {
    let tool = Path::new(PYTHON).join("../../.tools/producer-python");
    let output =
        Command::new("sh").arg(&tool).args(["-m", "unittest", "discover", "-s", "tests"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(3) {
        skipped(&said);
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(tool)
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skipped(why: &str) {
    eprintln!("SKIPPED: the producer for Python was not tried: {why}");
}

/// The code in the document for Python.
fn snippets() -> Vec<String> {
    let document = std::fs::read_to_string(Path::new(PYTHON).join("README.md")).unwrap();
    let marked = document.split("<!-- python: run by a test -->\n\n```python\n").skip(1);
    marked.map(|rest| rest.split_once("```").unwrap().0.to_owned()).collect()
}

#[tokio::test]
async fn the_producer_for_python_publishes_each_event_once() {
    let Some(tool) = python() else { return };
    let tool = format!("exec sh '{}'", tool.display());
    let mut scene = Scene::start().await;
    let snippets = snippets();
    assert_eq!(snippets.len(), 2);
    for snippet in snippets {
        scene.program(&format!("{tool} -")).input(snippet).finish(LONG).await.succeeded();
    }
    let messages = scene.received(2).await;
    assert_eq!(messages[0]["data"]["message"], "Parsing row 5000...");
    assert_eq!(messages[1]["data"]["title"], "Upload complete");

    let publish = format!("{tool} tests/publish.py");
    scene.publish_through_kills(&publish, "asyncio", 600, &[0, 200, 400]).await;
    scene.publish_through_kills(&publish, "sync", 50, &[]).await;
    scene.publish_through_kills(&publish, "nats", 300, &[20, 150]).await;
    scene.check_well().await;
}
