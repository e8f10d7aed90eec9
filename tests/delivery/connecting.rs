//! Facts say when users connect and disconnect: real gateways and dispatchers, killed.

use async_nats::jetstream;
use harness::{BOUND, SECRET, Setup, System, eventually, token};
use rustix::process::Signal;
use serde_json::{Value, json};

const PRESENCE: &str = "[dispatcher]\npresence = [\"ops\"]\npresence_settles_after = \"1s\"\n";

/// Waits until the newest fact about a user says this, and returns it.
async fn told(system: &System, user: &str, status: &str) -> Value {
    let stream = jetstream::new(system.client().clone()).get_stream("DELIVERIES").await.unwrap();
    let subject = format!("deliveries.facts.ops.{user}.presence");
    eventually(&format!("{user} is {status}"), BOUND, async || {
        let message = stream.get_last_raw_message_by_subject(&subject).await.map_err(|e| e.to_string())?;
        let fact: Value = serde_json::from_slice(&message.payload).unwrap();
        if fact["status"] == status { Ok(fact) } else { Err(fact.to_string()) }
    })
    .await
}

/// How many facts there are about a user.
async fn facts(system: &System, user: &str) -> u64 {
    let context = jetstream::new(system.client().clone());
    let stream = context.get_stream("DELIVERIES").await.unwrap();
    let subject = format!("deliveries.facts.ops.{user}.presence");
    let config = jetstream::consumer::pull::Config {
        filter_subject: subject,
        ..jetstream::consumer::pull::Config::default()
    };
    stream.create_consumer(config).await.unwrap().cached_info().num_pending
}

#[tokio::test]
async fn who_connects_is_told_of_until_they_leave_or_their_gateway_is_gone() {
    let system = Setup::default().file(PRESENCE).start().await;
    let first = system.dispatcher(&[]).await;
    let ada = system.open(json!({ "tenant": "ops", "sub": "ada" })).await;
    let fact = told(&system, "ada", "connected").await;
    assert_eq!((&fact["user"], &fact["is_repeated"]), (&json!("ada"), &json!(false)));
    ada.close().await;
    told(&system, "ada", "disconnected").await;

    // The gateway and the dispatcher are killed; who comes back elsewhere was there all the time.
    let second = system.another_gateway(&[]).await;
    let bearer = token(SECRET, json!({ "tenant": "ops", "sub": "bob" }));
    let dial = |address: &str| harness::Dial::new(address).query("device", "phone").bearer(&bearer);
    let _bob = dial(system.address()).open().await;
    let _eve = system.open(json!({ "tenant": "ops", "sub": "eve" })).await;
    told(&system, "bob", "connected").await;
    told(&system, "eve", "connected").await;
    system.gateway.signal(Signal::KILL);
    first.signal(Signal::KILL);
    let _bob = dial(&second.address).open().await;
    let _second = system.dispatcher(&[]).await;
    told(&system, "eve", "disconnected").await;
    told(&system, "bob", "connected").await;
    assert_eq!(
        (facts(&system, "ada").await, facts(&system, "bob").await, facts(&system, "eve").await),
        (2, 1, 2)
    );
}
