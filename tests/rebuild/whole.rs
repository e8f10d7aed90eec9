//! The whole of it: a projector makes envelopes anew or moves them while clients are connected.

use std::fs;

use harness::{BOUND, Client, Dial, SECRET, System, Tidings, eventually, token};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::kitchen::{self, CATALOG, dry_run, ready, run};

/// The catalog in which dishes say where they were made.
fn renamed() -> String {
    CATALOG.replace(r#"type = "dish","#, r#"type = "meal","#)
}

/// The place of the tenant, as `tidings projector ls` shows it.
async fn place(system: &System) -> (u64, u64) {
    let listed: Value = serde_json::from_str(&run(system, &["ls", "--json"]).await).unwrap();
    assert_eq!(listed["next"], Value::Null);
    (listed["shard"].as_u64().unwrap(), listed["generation"].as_u64().unwrap())
}

/// A device of a guest comes.
async fn open(system: &System, device: &str, guest: &str) -> Client {
    let token = token(SECRET, json!({ "tenant": "kitchen", "sub": guest }));
    let dial = Dial::new(system.address()).query("device", device).subprotocol("tidings.v1");
    dial.bearer(&token).open().await
}

/// What it hears next: so many dishes and, beside what the gateway says of itself, nothing else. Acknowledges all of it.
async fn hear(client: &mut Client, count: usize) -> Vec<String> {
    let (mut heard, mut last) = (Vec::new(), 0);
    while heard.len() < count {
        let message = client.next_json(BOUND).await;
        if let (Some(kind), Some(dish)) = (message["type"].as_str(), message["dish"].as_str()) {
            heard.push(format!("{kind} {dish}"));
            last = message["seq"].as_u64().unwrap();
        }
    }
    client.send_json(&json!({ "action": "ack", "seq": last })).await;
    client.send_json(&json!({ "action": "ping" })).await;
    let rest = client.until(BOUND, |message| message["action"] == "pong").await;
    assert!(rest.iter().all(|message| message["action"].is_string()), "{rest:?}");
    heard
}

/// What a device hears that comes and leaves.
async fn dishes(system: &System, device: &str, guest: &str, count: usize) -> Vec<String> {
    let mut client = open(system, device, guest).await;
    let heard = hear(&mut client, count).await;
    client.close().await;
    heard
}

/// One more projector, of this shard.
pub(crate) async fn projector_of(system: &System, shard: &str) -> Tidings {
    let mut projector = system.command(&["projector"]).variable("TIDINGS_PROJECTOR__SHARD", shard).start();
    projector.line("projector runs", BOUND).await;
    projector
}

#[tokio::test]
async fn a_rebuild_brings_what_lies_there_into_the_form_of_the_catalog() {
    let (mut system, schemas) = kitchen::open().await;
    for dish in ["soup", "stew", "cake"] {
        ready(&system, "ada", dish).await;
    }
    assert_eq!(dishes(&system, "first", "ada", 3).await, ["dish soup", "dish stew", "dish cake"]);
    let mut connected = open(&system, "connected", "ada").await;
    assert_eq!(hear(&mut connected, 3).await, ["dish soup", "dish stew", "dish cake"]);

    fs::write(schemas.path().join("kitchen/catalog.toml"), renamed()).unwrap();
    system.projector.signal(Signal::HUP);
    system.projector.line("catalogs reloaded", BOUND).await;
    let report = dry_run(&system, &renamed(), 3, &[]).await;
    assert_eq!(report["different"], 3, "{report}");
    let printed = run(&system, &["rebuild", "--tenant", "kitchen"]).await;
    let done = printed.lines().last().unwrap();
    assert!(done.starts_with("done in ") && done.ends_with("in shard 0 now, generation 1"), "{printed}");
    assert_eq!(place(&system).await, (0, 1));
    let report = dry_run(&system, &renamed(), 3, &[]).await;
    assert_eq!(
        (&report["same"], &report["different"], &report["new"]),
        (&json!(3), &json!(0), &json!(0)),
        "{report}"
    );

    // Who is connected has had all of it, and goes on.
    ready(&system, "ada", "tart").await;
    assert_eq!(hear(&mut connected, 1).await, ["meal tart"]);
    connected.close().await;
    assert_eq!(dishes(&system, "first", "ada", 1).await, ["meal tart"]);
    let all = ["meal soup", "meal stew", "meal cake", "meal tart"];
    assert_eq!(dishes(&system, "second", "ada", 4).await, all);
    system.check_well();
}

#[tokio::test]
async fn a_tenant_moves_to_another_shard_and_back() {
    let (mut system, _schemas) = kitchen::open().await;
    for dish in ["soup", "stew"] {
        ready(&system, "ada", dish).await;
    }
    assert_eq!(dishes(&system, "first", "ada", 2).await, ["dish soup", "dish stew"]);
    let second = projector_of(&system, "1").await;
    for (shard, generation, dish) in [("1", 1, "cake"), ("0", 2, "tart")] {
        let printed = run(&system, &["move", "--tenant", "kitchen", "--to", shard]).await;
        let end =
            format!("the envelopes of tenant kitchen are in shard {shard} now, generation {generation}\n");
        assert!(printed.ends_with(&end), "{printed}");
        assert_eq!(place(&system).await, (shard.parse().unwrap(), generation));
        ready(&system, "ada", dish).await;
        // The device goes on where it stood.
        eventually("the gateway serves the tenant in its shard", BOUND, async || {
            let listed =
                system.command(&["consumers", "ls", "--tenant", "kitchen", "--json"]).finish(BOUND).await;
            let listed = listed.succeeded();
            let consumer: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
            if consumer["pending"] == 1 { Ok(()) } else { Err(listed) }
        })
        .await;
        assert_eq!(dishes(&system, "first", "ada", 1).await, [format!("dish {dish}")]);
    }
    let output = second.output();
    assert!(!output.contains("panicked"), "{output}");
    system.check_well();
}

#[tokio::test]
async fn a_consumer_is_reset_to_positions_of_where_its_tenant_is() {
    let (system, _schemas) = kitchen::open().await;
    for dish in ["soup", "stew"] {
        ready(&system, "ada", dish).await;
    }
    assert_eq!(dishes(&system, "phone", "ada", 2).await.len(), 2);
    run(&system, &["rebuild", "--tenant", "kitchen"]).await;
    let reset =
        ["consumers", "reset", "--tenant", "kitchen", "--user", "ada", "--device", "phone", "--to", "all"];
    system.command(&reset).finish(BOUND).await.succeeded();
    assert_eq!(dishes(&system, "phone", "ada", 2).await, ["dish soup", "dish stew"]);
}
