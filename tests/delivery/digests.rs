//! Digests: a connection of a tenant that has them is given one message in a while, in which is all that came meanwhile.

use std::fs;

use harness::{BOUND, Client, Dial, SECRET, Setup, token};
use rustix::process::Signal;
use serde_json::json;

const CATALOG: &str = r#"
grants = ["user:{sub}"]
[digest]
every = "1s"
body = { type = "digest", data = { messages = "{messages}" } }
[[message]]
name = "note"
events = ["note.added"]
schema = "note.schema.json"
to = ["user:ada", "user:bo"]
body = { type = "note", n = "{data.n}" }
"#;

/// The numbers in what comes, up to `last`, each with how many came with it, and the greatest `seq`.
async fn numbers(client: &mut Client, last: u64) -> (Vec<u64>, Vec<usize>, u64) {
    let (mut found, mut sizes, mut seq) = (Vec::new(), Vec::new(), 0);
    while found.last() != Some(&last) {
        let message = client.next_json(BOUND).await;
        seq = message["seq"].as_u64().unwrap_or(seq);
        let notes = match message["type"].as_str() {
            Some("note") => vec![message],
            Some("digest") => message["data"]["messages"].as_array().unwrap().clone(),
            // What the subprotocol says besides.
            _ => continue,
        };
        sizes.push(notes.len());
        found.extend(notes.iter().map(|note| note["n"].as_u64().unwrap()));
    }
    (found, sizes, seq)
}

#[tokio::test]
async fn what_comes_within_a_while_is_one_message() {
    let schemas = tempfile::tempdir().unwrap();
    let folder = schemas.path().join("notes");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("catalog.toml"), CATALOG).unwrap();
    fs::write(folder.join("note.schema.json"), "{}").unwrap();
    let system = Setup::default().schemas(schemas.path()).start().await;
    let dial = |address: &str, user: &str| {
        let claims = token(SECRET, json!({ "tenant": "notes", "sub": user }));
        let dial = Dial::new(address).query("device", "d").bearer(&claims);
        if user == "bo" { dial.subprotocol("tidings.v1") } else { dial }
    };
    let publish = async |numbers: std::ops::Range<u64>| {
        for n in numbers {
            system.publish("notes", "note.added", &json!({ "n": n })).await;
        }
    };
    let mut ada = dial(system.address(), "ada").open().await;
    let mut bo = dial(system.address(), "bo").open().await;
    ada.expect_nothing_before_pong(BOUND).await;

    // The first comes alone and at once, the others together.
    publish(0..60).await;
    let expected: Vec<u64> = (0..60).collect();
    let (found, sizes, _) = numbers(&mut ada, 59).await;
    assert_eq!(found, expected);
    assert!(sizes[0] == 1 && sizes.len() < 30, "{sizes:?}");
    let (found, sizes, seq) = numbers(&mut bo, 59).await;
    assert_eq!(found, expected);
    assert!(sizes.len() < 30 && sizes.iter().any(|size| *size > 1), "{sizes:?}");

    // A digest is acknowledged like its last message; what a killed gateway had collected is in the stream.
    bo.send_json(&json!({ "action": "ack", "seq": seq })).await;
    bo.send_json(&json!({ "action": "ping" })).await;
    while bo.next_json(BOUND).await["action"] != "pong" {}
    bo.close().await;
    publish(60..80).await;
    system.gateway.signal(Signal::KILL);
    let gateway = system.another_gateway(&[]).await;
    let mut bo = dial(&gateway.address, "bo").open().await;
    let (found, sizes, _) = numbers(&mut bo, 79).await;
    assert_eq!(found, (60..80).collect::<Vec<_>>());
    assert!(sizes.len() < 10, "{sizes:?}");
    let mut ada = dial(&gateway.address, "ada").open().await;
    let (found, ..) = numbers(&mut ada, 79).await;
    // What was received in the last second before the kill may come again.
    let first = found[0];
    assert!(first <= 60 && found == (first..80).collect::<Vec<_>>(), "{found:?}");
}
