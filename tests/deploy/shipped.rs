//! Everything starts from `deploy/` alone, and an event that a producer publishes reaches a client.

use harness::{BOUND, Client, Dial, eventually};
use serde_json::json;

use crate::deployment::{Deployment, Made, token_of};
use crate::hostile::imports;

#[tokio::test]
async fn one_shard_on_one_server_and_on_three() {
    everywhere(1).await;
}

#[tokio::test]
async fn four_shards_on_one_server_and_on_three() {
    everywhere(4).await;
}

#[ignore = "nsc is called some 2,500 times, which takes six minutes; run it with --ignored"]
#[tokio::test]
async fn as_many_shards_as_there_can_be_on_one_server_and_on_three() {
    everywhere(64).await;
}

async fn everywhere(shards: usize) {
    let made = Made::with(shards);
    // CONNECT holds the token and some 700 bytes more, in a line of at most 4,096.
    for user in ["projector", "gateway", "admin", "ops-producer"] {
        let credentials = std::fs::read_to_string(made.credentials(user)).unwrap();
        let token = credentials.lines().map(str::len).max().unwrap();
        assert!(token < 1_024, "the token of {user} has {token} bytes");
    }
    // One tenant begins in the last shard.
    let file = made.path("tidings.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n[streams.shards]\nshelter = {}\n", shards - 1)).unwrap();
    delivers(&made.start().await).await;
    delivers(&made.start_cluster().await).await;
}

async fn delivers(deployment: &Deployment<'_>) {
    let mut projectors = vec![deployment.projector(0).await];
    if deployment.last_shard() > 0 {
        projectors.push(deployment.projector(deployment.last_shard()).await);
    }
    let (_gateway, address) = deployment.gateway().await;
    let mut ada = open(&address, &token_of("ops", "ada", &json!({ "role": "sre" }))).await;
    ada.send_json(&json!({ "action": "subscribe", "topics": ["incidents"] })).await;
    ada.expect_nothing_before_pong(BOUND).await;
    let mut bo = open(&address, &token_of("shelter", "bo", &json!({ "role": "first_responder" }))).await;

    let incident = json!({
        "id": "i", "jira_id": "I", "title": "t", "severity": "low", "status": "open", "squad": "s",
    });
    deployment.publish("ops", "incident.created", &incident).await;
    assert_eq!(ada.next_json(2 * BOUND).await["type"], "incident");
    let update = json!({ "shelterId": "s1", "name": "n", "status": "open", "capacity": 2, "occupancy": 1 });
    deployment.publish("shelter", "shelter.updated", &update).await;
    assert_eq!(bo.next_json(2 * BOUND).await["type"], "shelter_update");
    for projector in projectors {
        let output = projector.output();
        // For a moment after a stream was created nobody may answer for it, and the projector tries again.
        let mut faults = output.lines().filter(|line| !line.contains("cannot start the projector now"));
        assert!(!faults.any(|line| line.contains("ERROR") || line.contains("WARN")), "{output}");
    }
}

/// A connection, when the gateway takes it: on three servers its streams may still be electing.
async fn open(address: &str, token: &str) -> Client {
    let mut client = eventually("the client is let in", 2 * BOUND, async || {
        Dial::new(address).bearer(token).try_open().await.map_err(|refusal| refusal.body)
    })
    .await;
    client.expect_nothing_before_pong(BOUND).await;
    client
}

/// An operator adds a tenant and a shard, and reloads nats-server: what was given out before goes on.
#[tokio::test]
async fn the_script_adds_and_keeps() {
    let made = Made::with(1);
    let kept = ["projector", "gateway", "ops-producer"];
    let seeds = || kept.map(|user| seed(&std::fs::read_to_string(made.credentials(user)).unwrap()));
    let (before, routes) = (seeds(), std::fs::read_to_string(made.path("nats-routes.conf")).unwrap());
    made.run_script(2, &["ops", "kitchen"]);
    assert_eq!(seeds(), before);
    assert_eq!(std::fs::read_to_string(made.path("nats-routes.conf")).unwrap(), routes);
    let deployment = made.start().await;
    let _projector = deployment.projector(1).await;
    let client = async_nats::jetstream::new(deployment.client("kitchen-producer").await);
    client.publish("events.kitchen.order.placed", "{}".into()).await.unwrap().await.unwrap();
}

/// What an older version of the script granted to producers is taken back: they could publish what only gateways may.
#[tokio::test]
async fn the_script_takes_back_what_producers_may_no_longer_publish() {
    let made = Made::with(1);
    let (path, granted) = (made.path("nats-accounts.sh"), || imports(&made)["PRODUCERS_kitchen"].clone());
    let script = std::fs::read_to_string(&path).unwrap();
    let older = script.lines().filter(|line| !line.contains("nsc delete import"));
    let older = older.collect::<Vec<_>>().join("\n").replace("events.$tenant.*.*", "events.$tenant.>");
    std::fs::write(&path, older).unwrap();
    made.run_script(1, &["kitchen"]);
    let all = "events.kitchen.>".to_owned();
    assert_eq!(granted(), [(all.clone(), all)]);
    std::fs::write(&path, script).unwrap();
    made.run_script(1, &["kitchen"]);
    let events = "events.kitchen.*.*".to_owned();
    assert_eq!(granted(), [(events.clone(), events)]);
    let deployment = made.start().await;
    let _projector = deployment.projector(0).await;
    let client = async_nats::jetstream::new(deployment.client("kitchen-producer").await);
    client.publish("events.kitchen.order.placed", "{}".into()).await.unwrap().await.unwrap();
    let as_client = client.publish("events.kitchen.order.placed.client", "{}".into()).await.unwrap();
    let refused = as_client.await.unwrap_err();
    assert_eq!(refused.kind(), async_nats::jetstream::context::PublishErrorKind::StreamNotFound, "{refused}");
}

fn seed(credentials: &str) -> String {
    credentials.lines().find(|line| line.starts_with("SU")).unwrap().to_owned()
}
