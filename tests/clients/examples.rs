//! The five pages of `tidings dev`: what is served, and to whom; and each in a real browser: `shared/client-ts/e2e/examples.ts`.

use std::fs;
use std::os::unix::fs::symlink;

use harness::{BOUND, Launch, SCHEMAS, Tidings, free_port};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::{LONG, chromium};
use crate::workshop;

/// What is built of the pages and committed, so that `tidings dev` needs no Node.
const COMMITTED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/client-ts/examples/built/examples.js");

#[test]
fn what_is_served_is_what_the_sources_build() {
    let built = fs::read_to_string(workshop::built().join("examples.js")).unwrap();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(COMMITTED, &built).unwrap();
    }
    let is_same = fs::read_to_string(COMMITTED).is_ok_and(|committed| committed == built);
    let again = "UPDATE_GENERATED=1 cargo test --workspace --test clients what_is_served";
    assert!(is_same, "{COMMITTED} is not what its sources build; `{again}` writes it");
}

struct Dev {
    process: Tidings,
    /// Where the pages are.
    pages: String,
    _folder: TempDir,
}

impl Dev {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(SCHEMAS, folder.path().join("schemas")).unwrap();
        let mut process = Launch::tidings(["dev"])
            .variable("TIDINGS_GATEWAY__LISTEN", format!("127.0.0.1:{}", free_port()))
            .variable("TIDINGS_NATS__URL", format!("nats://127.0.0.1:{}", free_port()))
            .folder(folder.path())
            .start();
        let line = process.line("  examples   http://", BOUND).await;
        let pages = line.split_whitespace().find(|word| word.starts_with("http")).unwrap().to_owned();
        process.line("Ctrl-C ends everything.", BOUND).await;
        Self { process, pages, _folder: folder }
    }

    /// Sends a request, and returns its status and its answer.
    async fn ask(&self, path: &str, host: Option<&str>, body: Option<(&str, Value)>) -> (u16, String) {
        let client = reqwest::Client::new();
        let url = format!("{}{path}", self.pages);
        let request = match body {
            None => client.get(url),
            Some((content_type, body)) => {
                client.post(url).header("Content-Type", content_type).body(body.to_string())
            }
        };
        let request = match host {
            Some(host) => request.header("Host", host),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#[tokio::test]
async fn five_pages_publish_with_a_button_and_show_what_arrives() {
    let dev = Dev::start().await;
    guards(&dev).await;
    let Some(browser) = chromium() else {
        eprintln!("SKIPPED: there is no Chromium on the PATH, so no example was opened");
        return;
    };
    let program = workshop::built().join("examples.mjs");
    let shots = std::env::var("TIDINGS_SHOTS").unwrap_or_default();
    let finished = Launch::shell(&format!("exec node '{}'", program.display()))
        .variable("TIDINGS_EXAMPLES", &dev.pages)
        .variable("TIDINGS_BROWSER", browser)
        .variable("TIDINGS_SHOTS", shots)
        .finish(2 * LONG)
        .await;
    assert!(finished.succeeded().contains("examples: done"));
    dev.process.interrupt();
    let (status, output) = dev.process.end(BOUND).await;
    assert!(status.success(), "{status}:\n{output}");
}

/// Only pages of this listener may act as its users: no other site that a developer visits.
async fn guards(dev: &Dev) {
    const JSON: &str = "application/json";
    let token = json!({ "tenant": "ops", "claims": { "sub": "ada" } });
    let incident = json!({ "id": "i", "jira_id": "I", "title": "t", "severity": "high", "status": "open", "squad": "s" });
    let check = async |path: &str, host: Option<&str>, body: Option<(&str, Value)>, expected: (u16, &str)| {
        let (status, text) = dev.ask(path, host, body).await;
        assert!(status == expected.0 && text.contains(expected.1), "{path} {host:?}: {status} {text}");
    };
    check("token", None, Some((JSON, token.clone())), (200, "eyJ")).await;
    check("token", Some("attacker.example"), Some((JSON, token.clone())), (421, "open http://")).await;
    check("settings", Some("attacker.example"), None, (421, "open http://")).await;
    // What a browser sends to another origin without asking first.
    check("token", None, Some(("text/plain", token)), (415, "")).await;
    check("events/ops/incident.created", None, Some(("text/plain", incident.clone())), (415, "")).await;
    check("records/ops/incident", None, None, (200, "[]")).await;
    check("events/ops/incident.created", None, Some((JSON, incident)), (200, "sequence")).await;
    check("records/ops/incident", None, None, (200, r#""action":"created""#)).await;
    check("records/ops/task", None, None, (200, "[]")).await;
    check(
        "events/ops/incident.created",
        None,
        Some((JSON, json!({}))),
        (400, "the projector would reject it"),
    )
    .await;
    check("events/ops/incident.erased", None, Some((JSON, json!({}))), (400, "there is no event")).await;
    check("events/ops/incident", None, Some((JSON, json!({}))), (400, "not of the form entity.action")).await;
    check("events/no.tenant/a.b", None, Some((JSON, json!({}))), (400, "tenant")).await;
    check("elsewhere/", None, None, (404, "see /examples/")).await;
}
