//! The package `ws` of npm as the client: an implementation that has nothing in common with the gateway's.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use harness::{BOUND, Launch, SECRET, System, Tidings, token};
use serde_json::json;

pub(crate) const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/ws");

/// Messages that a client awaits before it closes.
const AWAITED: usize = 3;

/// The folder with the modules that `package-lock.json` names, installed once and then kept.
pub(crate) fn modules() -> &'static Path {
    static MODULES: OnceLock<PathBuf> = OnceLock::new();
    MODULES.get_or_init(|| harness::node_modules(Path::new(SOURCE), Path::new(env!("CARGO_TARGET_TMPDIR"))))
}

/// Starts the client; `closing` says who closes.
fn client(system: &System, compression: &str, closing: &str) -> Tidings {
    let token = token(SECRET, json!({ "tenant": "ops", "sub": "node", "sid": compression }));
    let url = format!("{}/api/ws?token={token}", system.address().replacen("http", "ws", 1));
    let script = format!("exec node '{SOURCE}/client.cjs' '{url}' {compression} {closing} {AWAITED}");
    Launch::shell(&script).variable("NODE_PATH", modules()).start()
}

/// How many bytes the client has read, whose messages are these.
async fn check_conversation(client: &mut Tidings, compression: &str, expected: &[String]) -> u64 {
    let extension = if compression == "on" { "permessage-deflate" } else { "" };
    assert_eq!(client.line("extensions ", BOUND).await, format!("extensions [{extension}]"));
    client.line("pong 17", BOUND).await;
    client.line("error UNSUPPORTED_DATA", BOUND).await;
    let bytes = client.line("bytes ", BOUND).await;
    let output = client.output();
    let received: Vec<&str> = output.lines().filter_map(|line| line.strip_prefix("message ")).collect();
    assert_eq!(received, expected);
    bytes["bytes ".len()..].parse().unwrap()
}

#[tokio::test]
async fn ws_is_served_with_and_without_compression() {
    // Before the system, because it may take long.
    modules();
    let system = System::start().await;
    let mut peer =
        system.subscribed(json!({ "tenant": "ops", "sub": "peer" }), &["incidents"], json!({})).await;
    let mut compressed = client(&system, "on", "client");
    let mut plain = client(&system, "off", "gateway");
    for client in [&mut compressed, &mut plain] {
        client.line("ready", BOUND).await;
    }
    let mut expected = Vec::new();
    let long = "a title that is worth compressing, ".repeat(1000);
    let titles: [&str; AWAITED] = ["short", &long, "short again"];
    for title in titles {
        let data = json!({ "id": "i", "jira_id": "I", "title": title, "severity": "high", "status": "open", "squad": "s" });
        system.publish("ops", "incident.created", &data).await;
        expected.push(peer.next_text(BOUND).await);
    }
    let bytes = check_conversation(&mut compressed, "on", &expected).await;
    let plain_bytes = check_conversation(&mut plain, "off", &expected).await;
    assert!(bytes < plain_bytes / 2, "{bytes} of {plain_bytes} bytes");
    assert_eq!(compressed.line("closed ", BOUND).await, "closed 4321 ");
    system.gateway.interrupt();
    assert_eq!(plain.line("closed ", BOUND).await, "closed 1001 the gateway is shutting down");
    for client in [compressed, plain] {
        let (status, output) = client.end(BOUND).await;
        assert!(status.success() && !output.contains("failed"), "{output}");
    }
}
