//! Clients of the Durable Streams protocol, as they are published, read a user's messages: what is there, and what comes.

use std::path::Path;
use std::process::Command;

use harness::{BOUND, Launch, SECRET, System, Tidings, eventually, python_packages, token};
use serde_json::{Value, json};

use crate::{incident, workshop};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/languages/durable_streams");

/// The readers that run here. The package for Python needs a newer one than everything else.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn readers() -> Vec<Launch> {
    let program = workshop::built().join("durable.mjs");
    let mut readers = vec![Launch::shell(&format!("exec node '{}'", program.display()))];
    let version = ["-c", "import sys; sys.exit(sys.version_info < (3, 10))"];
    if Command::new("python3").args(version).status().is_ok_and(|status| status.success()) {
        let packages = python_packages(Path::new(SOURCE), Path::new(env!("CARGO_TARGET_TMPDIR")));
        let program = Launch::shell(&format!("exec python3 '{SOURCE}/read.py'"));
        readers.push(program.variable("PYTHONPATH", packages));
    } else {
        eprintln!(
            "SKIPPED: there is no Python 3.10 or later, so its client of Durable Streams was not tried"
        );
    }
    readers
}

fn titles(reader: &Tidings) -> Vec<String> {
    let output = reader.output();
    let messages = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| Some(message["data"]["title"].as_str()?.to_owned())).collect()
}

#[tokio::test]
async fn clients_of_durable_streams_read_each_message_once() {
    const MESSAGES: usize = 40;
    let system = System::start().await;
    let expected: Vec<String> = (0..MESSAGES).map(|n| format!("incident {n}")).collect();
    let (before, after) = expected.split_at(MESSAGES / 2);
    for title in before {
        system.publish("ops", "incident.created", &incident(title)).await;
    }
    let start = |reader: Launch| {
        reader
            .variable("GATEWAY", format!("{}/api/messages", system.address()))
            .variable("TOKEN", token(SECRET, json!({ "tenant": "ops", "sub": "ada" })))
            .start()
    };
    let mut readers: Vec<_> = readers().into_iter().map(start).collect();
    for reader in &mut readers {
        reader.line(&before[before.len() - 1], BOUND).await;
    }
    for title in after {
        system.publish("ops", "incident.created", &incident(title)).await;
    }
    for reader in &readers {
        eventually("everything is read", BOUND, async || {
            let titles = titles(reader);
            if titles.len() >= MESSAGES { Ok(()) } else { Err(reader.output()) }
        })
        .await;
        assert_eq!(titles(reader), expected, "each message once and in order");
    }
}
