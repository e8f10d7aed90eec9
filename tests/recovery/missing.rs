//! NATS comes back without something, or loses it while processes run: what is missing is noticed, created again, and said.

use async_nats::jetstream;
use harness::{BOUND, Setup, System, eventually};
use rustix::process::Signal;
use serde_json::json;

use crate::site::{asked, dial, hears, hears_again, listener, ready, sequenced_listener};

const ALL: [&str; 12] = [
    "EVENTS",
    "ENVELOPES",
    "REJECTED",
    "KV_CONSUMERS",
    "KV_USERS",
    "KV_KEYS",
    "KV_PREFERENCES",
    "KV_CONTACTS",
    "KV_RECEIPTS",
    "KV_PLACEMENTS",
    "KV_PROJECTORS",
    "KV_CATALOGS",
];

async fn is_there(system: &System, stream: &str) {
    let context = jetstream::new(system.client().clone());
    eventually(&format!("{stream} is there"), BOUND, async || context.get_stream(stream).await.map(drop))
        .await;
}

async fn disable(system: &System, user: &str) {
    let arguments = ["users", "disable", "--tenant", "ops", "--user", user];
    system.command(&arguments).finish(BOUND).await.succeeded();
    refused(system, user).await;
}

async fn refused(system: &System, user: &str) {
    eventually("the user is kept out", BOUND, async || match dial(system.address(), user).try_open().await {
        Err(refusal) if refusal.status == 403 => Ok(()),
        Err(refusal) => Err(refusal.body),
        Ok(_) => Err("let in".to_owned()),
    })
    .await;
}

#[tokio::test]
async fn each_stream_is_deleted_while_everything_runs() {
    let mut system = System::start().await;
    let context = jetstream::new(system.client().clone());
    disable(&system, "eve").await;
    let mut client = sequenced_listener(dial(system.address(), "ada")).await;
    hears(&system, &mut client, "start").await;
    for stream in ALL {
        context.delete_stream(stream).await.unwrap();
        is_there(&system, stream).await;
        ready(system.address(), None).await;
        let seen = hears_again(&system, &mut client, stream).await;
        let told = seen.iter().any(|message| message["action"] == "gap");
        assert_eq!(told, stream == "ENVELOPES", "{stream}: {seen:?}");
        refused(&system, "eve").await;
    }
    // What processes knew was written again.
    let users = context.get_key_value("USERS").await.unwrap();
    assert!(users.get("ops.eve").await.unwrap().is_some());
    // A consumer is written behind what it has acknowledged.
    let show = ["consumers", "show", "--tenant", "ops", "--user", "ada", "--device", "d"];
    eventually("the consumer is stored", BOUND, async || {
        let shown = system.command(&show).finish(BOUND).await;
        if shown.output.contains("incidents") { Ok(()) } else { Err(format!("{shown:?}")) }
    })
    .await;
    client.close().await;
    let mut back = dial(system.address(), "ada").open().await;
    hears(&system, &mut back, "back").await;
    system.check_well();
}

/// One of two gateways recreates the bucket. Both have devices that say nothing.
#[tokio::test]
async fn every_gateway_saves_its_devices_again_whoever_recreated_their_bucket() {
    let mut system = System::start().await;
    let other = system.another_gateway(&[]).await;
    let _ada = sequenced_listener(dial(system.address(), "ada")).await;
    let _bo = sequenced_listener(dial(&other.address, "bo")).await;
    let context = jetstream::new(system.client().clone());
    let config = context.get_stream("KV_CONSUMERS").await.unwrap().cached_info().config.clone();
    for is_recreated in [false, true] {
        context.delete_stream("KV_CONSUMERS").await.unwrap();
        if is_recreated {
            // Before a gateway has, or just behind it.
            let _ = context.create_stream(config.clone()).await;
        }
        for key in ["ops.ada.d", "ops.bo.d"] {
            eventually(&format!("{key} is stored"), BOUND, async || {
                let bucket = context.get_key_value("CONSUMERS").await.map_err(|error| error.to_string())?;
                let entry = bucket.get(key).await.map_err(|error| error.to_string())?;
                entry.map(drop).ok_or_else(|| "there is no entry".to_owned())
            })
            .await;
        }
    }
    system.check_well();
}

#[tokio::test]
async fn nats_comes_back_empty() {
    let mut system = Setup::default().variable("TIDINGS_STREAMS__STORAGE", "memory").start().await;
    disable(&system, "eve").await;
    let mut client = sequenced_listener(dial(system.address(), "ada")).await;
    hears(&system, &mut client, "before").await;
    for round in ["first", "second"] {
        system.nats.kill().await.unwrap();
        ready(system.address(), Some("UNAVAILABLE")).await;
        assert_eq!(asked(system.address(), "/healthz").await.0, 200);
        let refusal = dial(system.address(), "bo").refused().await;
        assert!(refusal.status == 503 && refusal.headers.contains_key("retry-after"), "{refusal:?}");
        system.nats.restart().await.unwrap();
        for stream in ALL {
            is_there(&system, stream).await;
        }
        ready(system.address(), None).await;
        let seen = hears_again(&system, &mut client, round).await;
        assert!(seen.iter().any(|message| message["action"] == "gap"), "{seen:?}");
        refused(&system, "eve").await;
    }
    let output = system.gateway.output();
    for line in ["the gateway is unavailable", "the gateway is available again"] {
        assert_eq!(output.matches(line).count(), 2, "{line}: {output}");
    }
    system.check_well();
}

/// Only a projector makes the streams of envelopes.
#[tokio::test]
async fn a_gateway_says_what_is_missing_for_as_long_as_nobody_makes_it() {
    let system = System::start().await;
    let mut client = listener(dial(system.address(), "ada")).await;
    system.projector.signal(Signal::STOP);
    jetstream::new(system.client().clone()).delete_stream("ENVELOPES").await.unwrap();
    ready(system.address(), Some("ENVELOPES")).await;
    assert_eq!(asked(system.address(), "/healthz").await.0, 200);
    let refusal = dial(system.address(), "bo").refused().await;
    assert!(refusal.status == 503 && refusal.headers.contains_key("retry-after"), "{refusal:?}");
    client.expect_nothing_before_pong(BOUND).await;
    client.send_json(&json!({ "action": "ping" })).await;
    client.next_json(BOUND).await;
    system.projector.signal(Signal::CONT);
    ready(system.address(), None).await;
    hears(&system, &mut client, "after").await;
}
