//! Clients of `ops`, and what a gateway says of itself.

use std::time::Duration;

use harness::{BOUND, Client, Dial, SECRET, System, eventually, token};
use serde_json::{Value, json};

pub(crate) fn token_of(tenant: &str, user: &str) -> String {
    token(SECRET, json!({ "tenant": tenant, "sub": user, "roles": ["sre"] }))
}

pub(crate) fn dial(address: &str, user: &str) -> Dial {
    Dial::new(address).query("device", "d").bearer(&token_of("ops", user))
}

/// A client that hears of incidents and speaks `tidings.v1`.
pub(crate) async fn sequenced_listener(dial: Dial) -> Client {
    let mut client = dial.subprotocol("tidings.v1").open().await;
    client.send_json(&json!({ "action": "subscribe", "topics": ["incidents"] })).await;
    client.until(BOUND, |message| message["action"] == "subscribed").await;
    client
}

/// A client that hears of incidents.
pub(crate) async fn listener(dial: Dial) -> Client {
    let mut client = dial.open().await;
    client.expect_nothing_before_pong(BOUND).await;
    client.send_json(&json!({ "action": "subscribe", "topics": ["incidents"] })).await;
    client.expect_nothing_before_pong(BOUND).await;
    client
}

pub(crate) fn incident(id: &str) -> Value {
    json!({
        "id": id, "jira_id": "INC-1", "title": "t", "severity": "critical", "status": "open", "squad": "platform",
    })
}

/// Publishes until one of the events has arrived; returns what came until then.
pub(crate) async fn hears(system: &System, client: &mut Client, what: &str) -> Vec<Value> {
    hears_on(system, client, what, false).await
}

/// As [`hears`], for Ada's client of `tidings.v1`, which connects again when it is told to.
pub(crate) async fn hears_again(system: &System, client: &mut Client, what: &str) -> Vec<Value> {
    hears_on(system, client, what, true).await
}

/// Ada's client of `tidings.v1`, which has been here before.
pub(crate) async fn reconnected(system: &System) -> Client {
    eventually("the gateway takes the device in again", BOUND, async || {
        let dial = dial(system.address(), "ada").subprotocol("tidings.v1");
        dial.try_open().await.map_err(|refusal| refusal.body)
    })
    .await
}

async fn hears_on(system: &System, client: &mut Client, what: &str, reconnects: bool) -> Vec<Value> {
    let context = async_nats::jetstream::new(system.client().clone());
    let (mut seen, mut number) = (Vec::new(), 0_u32);
    eventually(&format!("an event arrives after {what}"), BOUND * 2, async || {
        number += 1;
        let data = incident(&format!("{what}-{number}")).to_string();
        let sent =
            context.publish("events.ops.incident.created", data.into()).await.map_err(|e| e.to_string())?;
        let stored = tokio::time::timeout(Duration::from_secs(2), sent.into_future()).await;
        stored.map_err(|_| "not stored".to_owned())?.map_err(|error| error.to_string())?;
        // Nothing that comes is dropped, whenever the waiting ends.
        let next = async |client: &mut Client| {
            tokio::time::timeout(Duration::from_secs(3), client.next_json_or_close(BOUND)).await
        };
        while let Ok(next) = next(client).await {
            let message = match next {
                Ok(message) => message,
                Err(code) => {
                    assert!(reconnects && code == Some(1001), "closed with {code:?} after {seen:?}");
                    *client = reconnected(system).await;
                    continue;
                }
            };
            let is_it = message["data"]["id"].as_str().is_some_and(|id| id.starts_with(what));
            seen.push(message);
            if is_it {
                return Ok(());
            }
        }
        Err(format!("{number} published, none arrived"))
    })
    .await;
    seen
}

/// The status and the body of an endpoint.
pub(crate) async fn asked(address: &str, path: &str) -> (u16, String) {
    let response = reqwest::get(format!("{address}{path}")).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Waits until the gateway says that it is ready, or that it is not and why.
pub(crate) async fn ready(address: &str, reason: Option<&str>) {
    let expected = if reason.is_some() { 503 } else { 200 };
    eventually("the gateway says how it is", BOUND, async || {
        let (status, body) = asked(address, "/readyz").await;
        let is_so = status == expected && body.contains(reason.unwrap_or("ready"));
        if is_so { Ok(()) } else { Err(format!("{status} {body}")) }
    })
    .await;
}
