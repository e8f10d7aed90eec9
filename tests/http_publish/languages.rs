//! The snippets of the documents, run as they stand there: with curl, Go and Java, where these are.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use harness::{BOUND, Launch, System};
use serde_json::{Value, json};

use crate::{incidents_until_end, listener};

const DOCUMENT: &str = include_str!("../../shared/producer/README.md");

/// Compiling a language's HTTP library for the first time takes its time.
const COMPILING: std::time::Duration = std::time::Duration::from_secs(300);

/// The code that is marked with this word.
fn snippet(word: &str) -> &'static str {
    let (_, marked) =
        DOCUMENT.split_once(&format!("<!-- {word}: run by a test -->")).expect("the snippet is there");
    let (_, code) = marked.split_once("```").and_then(|(_, rest)| rest.split_once('\n')).unwrap();
    code.split_once("\n```").unwrap().0
}

/// Runs lines of a shell in a folder with a file, and returns what they print.
async fn run(system: &System, folder: &Path, script: &str) -> Value {
    let create = ["keys", "create", "--tenant", "ops", "--event", "incident.*"];
    let key = system.command(&create).finish(BOUND).await.succeeded();
    let launch = Launch::shell(script)
        .folder(folder)
        .variable("KEY", key.trim_end())
        .variable("GATEWAY", system.address());
    let output = launch.finish(COMPILING).await.succeeded();
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// Whether a program is on the PATH.
fn is_there(program: &str, version: &str) -> bool {
    let found = Command::new(program).arg(version).output().is_ok_and(|output| output.status.success());
    if !found {
        let _ = writeln!(std::io::stderr(), "skipped: there is no {program} on the PATH");
    }
    found
}

#[tokio::test]
async fn the_documents_snippets_publish() {
    let system = System::start().await;
    let mut ada = listener(&system).await;
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    if is_there("curl", "--version") {
        let answer = run(&system, folder.path(), snippet("curl")).await;
        assert_eq!((&answer["id"], &answer["duplicate"]), (&json!("import-4711"), &json!(false)));
        expected.push("inc-2");
    }
    if is_there("go", "version") {
        std::fs::write(folder.path().join("publish.go"), snippet("go")).unwrap();
        let answer = run(&system, folder.path(), "go run publish.go").await;
        assert_eq!((&answer["id"], &answer["source"]), (&json!("go-1"), &json!("/import")));
        expected.push("inc-3");
    }
    if is_there("java", "--version") {
        std::fs::write(folder.path().join("Publish.java"), snippet("java")).unwrap();
        let answer = run(&system, folder.path(), "java Publish.java").await;
        assert_eq!(answer["id"], "java-1");
        expected.push("inc-4");
    }
    assert_eq!(incidents_until_end(&system, &mut ada).await, expected);
}
