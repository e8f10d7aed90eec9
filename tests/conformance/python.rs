//! The Python code in the documents publishes an event, with the package `nats-py` as it is published.

use std::path::Path;

use harness::{BOUND, Launch, System, python_packages};
use serde_json::json;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/python");
const DOCUMENTS: [&str; 2] = ["README.md", "shared/producer/README.md"];

#[tokio::test]
async fn the_code_in_the_documents_publishes() {
    // Before the system, because it may take long.
    let packages = python_packages(Path::new(SOURCE), Path::new(env!("CARGO_TARGET_TMPDIR")));
    let system = System::start().await;
    let mut ada =
        system.subscribed(json!({ "tenant": "ops", "sub": "ada" }), &["incidents"], json!({})).await;
    for document in DOCUMENTS {
        let path = format!("{}/../{document}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let (_, rest) = text.split_once("```python\n").unwrap();
        let (code, _) = rest.split_once("```").unwrap();
        assert!(code.contains("nats://127.0.0.1:4222"), "{document}: {code}");
        let code = code.replace("nats://127.0.0.1:4222", system.nats.url());
        let script = format!("exec python3 - <<'END'\n{code}\nEND");
        let variable = packages.to_str().unwrap();
        Launch::shell(&script).variable("PYTHONPATH", variable).finish(BOUND).await.succeeded();
        let message = ada.next_json(BOUND).await;
        assert_eq!(message["data"]["title"], "Queue full", "{document}: {message}");
    }
}
