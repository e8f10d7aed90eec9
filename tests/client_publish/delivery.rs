//! Once, in order, and answered: whatever happens to connections and to NATS.

use std::collections::BTreeSet;

use harness::{BOUND, SECRET, Setup, System, eventually, token};
use serde_json::{Value, json};

use crate::{
    OUTAGE, answer, broadcast, coordinator, event, events, open, operator, published, say, update, with_id,
};

/// An operator's alert.
fn alert(title: u64) -> Value {
    let data = json!({ "title": title.to_string(), "message": "", "severity": "low", "shelterId": "s9" });
    json!({ "action": "alert", "data": data })
}

/// The titles of the alerts that a responder hears up to the broadcast `end`.
async fn alerts(client: &mut harness::Client) -> Vec<String> {
    let messages = client.until(BOUND, |message| message["data"]["message"] == "end").await;
    messages.iter().filter_map(|message| message["data"]["title"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn what_is_said_again_is_one_event() {
    let mut system = System::start().await;
    let mut responder =
        system.open(json!({ "tenant": "shelter", "sub": "ada", "role": "first_responder" })).await;
    let mut one = system.open(operator("dee", "s9")).await;
    let first = say(&mut one, &with_id(alert(1), "m-1")).await;
    assert_eq!(first, "m-1");
    assert_eq!(say(&mut one, &with_id(alert(1), "m-1")).await, first);
    one.close().await;

    // Another connection, another device, another spelling of the member.
    let mut again = open(&system, operator("dee", "s9")).await;
    let mut spelled = alert(1);
    spelled["message_id"] = "m-1".into();
    assert_eq!(say(&mut again, &spelled).await, first);
    // Another user's message of this id has another source; it and a message without one each time are others.
    let mut other = open(&system, operator("dee/m", "s9")).await;
    assert_eq!(say(&mut other, &with_id(alert(2), "m-1")).await, first);
    let mut ids = BTreeSet::from([first]);
    ids.insert(say(&mut other, &with_id(alert(3), "1")).await);
    ids.insert(say(&mut again, &with_id(alert(4), "m/m-1")).await);
    ids.insert(say(&mut again, &with_id(alert(5), 1.0)).await);
    ids.insert(say(&mut again, &alert(6)).await);
    ids.insert(say(&mut again, &alert(6)).await);
    assert_eq!(ids.len(), 6, "{ids:?}");

    let mut cy = open(&system, coordinator("cy")).await;
    say(&mut cy, &broadcast("end")).await;
    assert_eq!(alerts(&mut responder).await, ["1", "2", "3", "4", "5", "6", "6"]);
    assert_eq!(events(&system).await.len(), 10, "what is said again is stored, too, and dropped later");
    system.check_well();
}

/// An id that a client chooses never makes somebody else's event a repetition, nor does a producer's event that says it is
/// the client's make a repetition of the client's.
#[tokio::test]
async fn nobodys_event_is_taken_for_a_clients() {
    let mut system = System::start().await;
    let mut cy = system.open(coordinator("cy")).await;
    let mut listener = system.open(coordinator("di")).await;
    let ids = [("1", "1"), ("m-1", "m-1"), ("../x", "=2E=2E=2Fx"), ("*", "=2A"), (">", "=3E")];
    for (count, (id, encoded)) in ids.into_iter().enumerate() {
        let (one, other) = (format!("produced {count}"), format!("said {count}"));
        let data = json!({ "target": "all", "message": one });
        let event = json!({ "specversion": "1.0", "id": id, "source": "client/cy/default", "type": "t", "data": data });
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("client/shelter/cy/{encoded}"));
        system.publish_raw("events.shelter.broadcast.created", headers, event.to_string()).await;
        say(&mut cy, &with_id(broadcast(&other), id)).await;
        let mut missing = BTreeSet::from([one, other]);
        let is_complete = |message: &Value| {
            missing.remove(message["data"]["message"].as_str().unwrap_or_default());
            missing.is_empty()
        };
        listener.until(BOUND, is_complete).await;
    }
    system.check_well();
}

/// What a client says with an id that the user has given to another message is kept for administrators, and never passes for
/// the other one.
#[tokio::test]
async fn an_id_that_a_user_gives_twice_is_reported() {
    let mut system = System::start().await;
    let mut cy = system.open(coordinator("cy")).await;
    let mut listener = system.open(coordinator("di")).await;
    for message in ["first", "second", "first"] {
        say(&mut cy, &with_id(broadcast(message), "m-1")).await;
    }
    say(&mut cy, &broadcast("end")).await;
    let heard = listener.until(BOUND, |message| message["data"]["message"] == "end").await;
    let heard: Vec<_> = heard.iter().filter_map(|message| message["data"]["message"].as_str()).collect();
    assert_eq!(heard, ["first", "end"]);
    let listing = system.command(&["rejected", "ls", "--tenant", "shelter", "--reason", "id-reused"]);
    let listed = listing.finish(BOUND).await.succeeded();
    assert!(listed.contains("broadcast.created") && !listed.contains(".client"), "{listed}");
    system.check_well();
}

#[tokio::test]
async fn what_a_connection_says_is_stored_in_its_order() {
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__WORKERS", "1").start().await;
    let mut one = system.open(operator("dee", "s9")).await;
    let mut two = system.open(operator("dee", "s9")).await;
    // As many at once as may wait, and one more while one of them is being stored.
    for round in 0..20 {
        for n in 0..8 {
            for (client, name) in [(&mut one, "one"), (&mut two, "two")] {
                client.send_json(&with_id(update("s9", round * 8 + n), format!("{name}-{round}-{n}"))).await;
            }
        }
        for n in 0..8 {
            for (client, name) in [(&mut one, "one"), (&mut two, "two")] {
                // Both are told what their shelter hears.
                assert_eq!(published(client).await, format!("{name}-{round}-{n}"));
            }
        }
    }
    let events: Vec<Value> = events(&system).await.iter().map(event).collect();
    for name in ["one", "two"] {
        let of_one = events.iter().filter(|event| event["id"].as_str().unwrap().starts_with(name));
        let said: Vec<_> = of_one.map(|event| event["data"]["occupancy"].as_u64().unwrap()).collect();
        assert_eq!(said, (0..160).collect::<Vec<_>>());
    }
    system.check_well();
}

#[tokio::test]
async fn without_nats_the_client_is_told_and_says_it_again() {
    let mut system = System::start().await;
    let mut client = system.open(operator("dee", "s9")).await;
    say(&mut client, &with_id(update("s9", 0), "m-0")).await;
    system.nats.kill().await.unwrap();
    // One is being stored, eight wait, and the tenth is told at once.
    for n in 1..=10 {
        client.send_json(&with_id(update("s9", n), format!("m-{n}"))).await;
    }
    let first = answer(&mut client, OUTAGE).await;
    assert_eq!(
        (&first["data"]["code"], &first["data"]["original_message_id"]),
        (&json!("UNAVAILABLE"), &json!("m-10"))
    );
    let second = answer(&mut client, OUTAGE).await;
    assert_eq!(
        (&second["data"]["code"], &second["data"]["original_message_id"]),
        (&json!("UNAVAILABLE"), &json!("m-1"))
    );
    client.send_json(&json!({ "action": "ping" })).await;
    client.until(BOUND, |message| message["action"] == "pong").await;

    system.nats.restart().await.unwrap();
    // Whatever became of them: said again until they are stored, in their order. Newcomers are refused until the gateway
    // has found NATS again.
    let dial = system.dial().bearer(&token(SECRET, operator("dee", "s9")));
    let opening = eventually("the gateway lets newcomers in", OUTAGE, async || {
        dial.clone().try_open().await.map_err(|refusal| refusal.body)
    });
    let mut client = opening.await;
    for n in 0..=10 {
        let frame = with_id(update("s9", n), format!("m-{n}"));
        eventually("it is stored", OUTAGE, async || {
            client.send_json(&frame).await;
            match answer(&mut client, BOUND).await {
                answer if answer["action"] == "published" => Ok(()),
                answer => Err(answer),
            }
        })
        .await;
    }
    let mut said: Vec<u64> = Vec::new();
    for message in events(&system).await {
        said.push(event(&message)["data"]["occupancy"].as_u64().unwrap());
    }
    // What was stored although its answer was lost is stored again, and dropped by the projector.
    said.sort_unstable();
    said.dedup();
    assert_eq!(said, (0..=10).collect::<Vec<_>>(), "each once");
    system.check_well();
}

/// What was taken is stored even if its client does not wait for the answer.
#[tokio::test]
async fn who_leaves_has_been_heard() {
    let mut system = System::start().await;
    let mut client = system.open(operator("dee", "s9")).await;
    for n in 0..5 {
        client.send_json(&with_id(update("s9", n), format!("m-{n}"))).await;
    }
    client.close().await;
    eventually("all is stored", BOUND, async || match events(&system).await.len() {
        5 => Ok(()),
        count => Err(count),
    })
    .await;
    system.check_well();
}

/// What one tenant's clients publish is limited for all of them together, and what was refused is no event.
#[tokio::test]
async fn the_clients_of_a_tenant_share_what_they_may_publish() {
    let limited = Setup::default().variable("TIDINGS_GATEWAY__PUBLISH_PER_MINUTE", "6");
    let mut system = limited.variable("TIDINGS_GATEWAY__PUBLISH_BURST", "2").start().await;
    let mut cy = system.open(coordinator("cy")).await;
    let mut di = open(&system, coordinator("di")).await;
    say(&mut cy, &broadcast("one")).await;
    say(&mut di, &broadcast("two")).await;
    di.send_json(&with_id(broadcast("three"), "m-3")).await;
    let refused = di.until(BOUND, |message| message["type"] == "error").await.pop().unwrap();
    assert_eq!(refused["data"]["code"], "RATE_LIMITED", "{refused}");
    assert_eq!(refused["data"]["original_message_id"], "m-3");
    assert!(refused["data"]["retry_after_ms"].as_u64().is_some_and(|wait| (1..=10_000).contains(&wait)));
    // What is not let through by the catalog costs nobody anything, and is answered as such.
    let mut dee = open(&system, operator("dee", "s9")).await;
    dee.send_json(&broadcast("no")).await;
    let forbidden = dee.until(BOUND, |message| message["type"] == "error").await.pop().unwrap();
    assert_eq!(forbidden["data"]["code"], "FORBIDDEN");
    assert_eq!(events(&system).await.len(), 2);
    system.check_well();
}
