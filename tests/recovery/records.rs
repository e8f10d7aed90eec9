//! An unreadable record is its user's, its device's or its tenant's trouble alone, for services that run and for those that
//! start.

use async_nats::HeaderMap;
use harness::{BOUND, Client, Dial, System, eventually};
use serde_json::{Value, json};

use crate::site::{dial, incident, sequenced_listener, token_of};

/// One of each kind; every kind for every bucket is told apart where the bucket is read.
const SPOILED: [&str; 5] =
    ["garbage", "", r#"{"stream":"EVENTS","seq":5}"#, r#"{"version":1,"seq":5}"#, r#"{"version":2}"#];

async fn refused(address: &str, tenant: &str, user: &str, device: &str) -> (u16, String) {
    let dial = Dial::new(address).query("device", device).bearer(&token_of(tenant, user));
    let refusal = dial.refused().await;
    assert!(refusal.status != 503 || refusal.headers.contains_key("retry-after"), "{refusal:?}");
    let body: Value = serde_json::from_str(&refusal.body).unwrap();
    (refusal.status, body["code"].as_str().unwrap().to_owned())
}

async fn open(address: &str, tenant: &str, user: &str) -> Client {
    let dial = Dial::new(address).query("device", "d").bearer(&token_of(tenant, user));
    let mut client = dial.open().await;
    client.expect_nothing_before_pong(BOUND).await;
    client
}

async fn put(system: &System, bucket: &str, key: &str, json: &str) {
    system.publish_raw(&format!("$KV.{bucket}.{key}"), HeaderMap::new(), json).await;
}

async fn subscribe(client: &mut Client) {
    client.send_json(&json!({ "action": "subscribe", "topics": ["incidents"] })).await;
    client.expect_nothing_before_pong(BOUND).await;
}

#[tokio::test]
async fn a_placement_that_cannot_be_read_keeps_its_tenant_out_of_what_starts() {
    let mut system = System::start().await;
    for (round, json) in SPOILED.into_iter().enumerate() {
        let ada = format!("ada-{round}");
        // What runs goes on with what it knows.
        let mut running = open(system.address(), "ops", &ada).await;
        subscribe(&mut running).await;
        put(&system, "PLACEMENTS", "ops", json).await;
        put(&system, "PLACEMENTS", "documents", json).await;
        system.publish("ops", "incident.created", &incident("one")).await;
        running.next_json(BOUND).await;
        // What starts serves the others.
        let mut second = system.another_gateway(&[]).await;
        second.process.line("the record of tenant ops in the bucket PLACEMENTS cannot be read", BOUND).await;
        let expected = (503, "PLACEMENT_UNREADABLE".to_owned());
        assert_eq!(refused(&second.address, "ops", &ada, "d").await, expected, "{json:?}");
        let mut other = open(&second.address, "shelter", "bo").await;
        system.projector.interrupt();
        let projector = system.command(&["projector"]).start();
        std::mem::replace(&mut system.projector, projector).end(BOUND).await;
        system.projector.line("projector runs", BOUND).await;
        let event = system.publish("ops", "incident.created", &incident("two")).await;
        let rejected = system.rejected(event).await;
        assert_eq!(rejected.header("Tidings-Reason"), Some("unreadable-placement"), "{json:?}");
        other.expect_nothing_before_pong(BOUND).await;
        // Removed, the tenant is where it always was.
        let bucket =
            async_nats::jetstream::new(system.client().clone()).get_key_value("PLACEMENTS").await.unwrap();
        for tenant in ["ops", "documents"] {
            bucket.purge(tenant).await.unwrap();
        }
        let mut back = eventually("ops is served", BOUND, async || {
            let dial = Dial::new(&second.address).query("device", "e").bearer(&token_of("ops", &ada));
            dial.try_open().await.map_err(|refusal| refusal.body)
        })
        .await;
        subscribe(&mut back).await;
        eventually("events of ops are projected", BOUND, async || {
            system.publish("ops", "incident.created", &incident("three")).await;
            let heard = tokio::time::timeout(std::time::Duration::from_secs(1), back.next_json(BOUND)).await;
            heard.map(drop)
        })
        .await;
    }
    system.check_well();
}

#[tokio::test]
async fn a_user_or_a_device_that_cannot_be_read_is_kept_out_alone() {
    let system = System::start().await;
    for json in SPOILED {
        let mut ada = open(system.address(), "ops", "ada").await;
        let mut bo = open(system.address(), "ops", "bo").await;
        put(&system, "USERS", "ops.ada", json).await;
        put(&system, "CONSUMERS", "ops.bo.desk", json).await;
        assert_eq!(ada.close_code(BOUND).await, Some(1013), "{json:?}");
        let second = system.another_gateway(&[]).await;
        for address in [system.address(), &second.address] {
            let expected = (503, "USER_UNREADABLE".to_owned());
            assert_eq!(refused(address, "ops", "ada", "d").await, expected, "{json:?}");
            let expected = (503, "CONSUMER_UNREADABLE".to_owned());
            assert_eq!(refused(address, "ops", "bo", "desk").await, expected, "{json:?}");
            open(address, "ops", "bo").await.close().await;
            open(address, "ops", "cy").await.close().await;
        }
        let once = |part: &str| second.process.output().matches(part).count();
        assert_eq!(once("user=ops/ada"), 1, "{}", second.process.output());
        assert_eq!(once("consumer=ops/bo/desk"), 1, "{}", second.process.output());
        bo.expect_nothing_before_pong(BOUND).await;
        let listed = system.command(&["consumers", "ls", "--tenant", "ops"]).finish(BOUND).await;
        assert!(listed.output.contains("cy") && listed.errors.contains("ops.bo.desk"), "{listed:?}");
        assert_eq!(listed.code, Some(1), "{listed:?}");
        let remove = ["consumers", "rm", "--tenant", "ops", "--user", "bo", "--device", "desk"];
        system.command(&remove).finish(BOUND).await.succeeded();
        let bucket =
            async_nats::jetstream::new(system.client().clone()).get_key_value("USERS").await.unwrap();
        bucket.purge("ops.ada").await.unwrap();
        eventually("ada comes in", BOUND, async || {
            let dial = Dial::new(system.address()).query("device", "d").bearer(&token_of("ops", "ada"));
            dial.try_open().await.map_err(|refusal| refusal.body)
        })
        .await;
    }
}

/// A device whose subscriptions are larger than JetStream takes loses these when it leaves, and not its place: what it
/// acknowledges goes on being saved.
#[tokio::test]
async fn a_record_that_never_fits_costs_its_subscriptions_alone() {
    let mut system = System::start().await;
    let context = async_nats::jetstream::new(system.client().clone());
    let mut config = context.get_stream("KV_CONSUMERS").await.unwrap().cached_info().config.clone();
    config.max_message_size = 1_200;
    context.update_stream(&config).await.unwrap();
    let mut ada = sequenced_listener(dial(system.address(), "ada")).await;
    let squads: Vec<_> =
        (0..60).map(|n| format!("a-squad-with-a-long-name-{n}")).chain(["platform".to_owned()]).collect();
    let filtered =
        json!({ "action": "subscribe", "topics": ["incidents"], "filters": { "squad": squads }, "id": "f" });
    for _ in 0..2 {
        ada.send_json(&filtered).await;
        let refusal = ada.until(BOUND, |message| message["type"] == "error").await.pop().unwrap();
        let data = &refusal["data"];
        assert_eq!((&data["code"], &data["original_message_id"]), (&json!("TOO_MANY_FILTERS"), &json!("f")));
    }
    system.publish("ops", "incident.created", &incident("one")).await;
    let heard = ada.until(BOUND, |message| message["data"]["id"] == "one").await.pop().unwrap();
    ada.send_json(&json!({ "action": "ack", "seq": heard["seq"] })).await;
    ada.expect_nothing_before_pong(BOUND).await;
    ada.close().await;
    system.publish("ops", "incident.created", &incident("two")).await;
    let mut again = dial(system.address(), "ada").subprotocol("tidings.v1").open().await;
    let missed = again.until(BOUND, |message| message["data"]["id"] == "two").await;
    let ids: Vec<_> = missed.iter().filter_map(|message| message["data"]["id"].as_str()).collect();
    assert_eq!(ids, ["two"], "the first subscription and the place are still there");
    system.check_well();
}
