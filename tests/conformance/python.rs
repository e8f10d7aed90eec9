//! The Python code in the documents publishes an event, with the package `nats-py` as it is published.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{BOUND, Launch, System};
use serde_json::json;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/python");
const DOCUMENTS: [&str; 2] = ["README.md", "shared/producer/README.md"];

/// The folder with the packages of `requirements.txt`, installed once and then kept.
fn packages() -> PathBuf {
    let requirements = format!("{SOURCE}/requirements.txt");
    let text = std::fs::read_to_string(&requirements).unwrap();
    let (package, _) = text.split_once(' ').unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let installed = target.join(package.replace("==", "-"));
    if !installed.exists() {
        std::fs::create_dir_all(target).unwrap();
        // Moved into place when it is complete, so that two installations at once are harmless.
        let work = tempfile::tempdir_in(target).unwrap();
        let pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target"];
        let output = Command::new("python3").args(pip).arg(work.path()).args(["-r", &requirements]).output();
        let output = output.unwrap_or_else(|error| {
            panic!(
                "cannot start python3 ({error}): install Python 3.8 or later with pip, and put it on the PATH"
            )
        });
        let reported = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pip fails; does it reach PyPI?\n{reported}");
        let moved = std::fs::rename(work.path(), &installed);
        assert!(moved.is_ok() || installed.exists(), "cannot make {}: {moved:?}", installed.display());
    }
    installed
}

#[tokio::test]
async fn the_code_in_the_documents_publishes() {
    // Before the system, because it may take long.
    let packages = packages();
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
