//! A tenant moves while clients are connected and events are published.

use std::collections::BTreeSet;
use std::fs;

use futures_util::future::join_all;
use harness::{BOUND, Client, Dial, SECRET, Setup, System, Tidings, eventually, token};
use rustix::process::Signal;
use serde_json::json;

use crate::kitchen::{self, CATALOG, ready};
use crate::whole::projector_of;

/// The old shard's projector stands still while its tenant moves, writes on in the old place when it goes on, and another
/// tenant's messages move the old shard's cursor on: whoever acknowledges all that it is given still gets everything.
#[tokio::test]
async fn what_is_written_in_the_old_place_is_passed_over_for_nobody() {
    const DEVICES: usize = 5;
    let schemas = kitchen::schemas(CATALOG);
    fs::create_dir(schemas.path().join("bar")).unwrap();
    for file in ["catalog.toml", "any.schema.json"] {
        fs::copy(schemas.path().join("kitchen").join(file), schemas.path().join("bar").join(file)).unwrap();
    }
    // Connections leave over some seconds, in which they are still given what comes.
    let setup = Setup::default().schemas(schemas.path()).variable("TIDINGS_GATEWAY__DRAIN_TIME", "20s");
    let mut system = setup.start().await;
    let second = projector_of(&system, "1").await;
    let address = system.address().to_owned();
    let listening = join_all((0..DEVICES).map(|number| listen(&address, number)));
    let (told, heard) = tokio::join!(move_there_and_back(&system, &second), listening);
    for (number, heard) in heard.iter().enumerate() {
        // At least once; in the old place, in the new one, or in both.
        let missed: Vec<_> = told.difference(heard).collect();
        assert!(missed.is_empty(), "device {number}: {missed:?}");
    }
    assert!(!second.output().contains("panicked"));
    system.check_well();
}

/// Moves the tenant to the second shard and back, and tells of dishes all the while; of which ones.
async fn move_there_and_back(system: &System, second: &Tidings) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for (old, to) in [(&system.projector, "1"), (second, "0")] {
        tell(system, &mut told, 20).await;
        old.signal(Signal::STOP);
        let mut moving = system.command(&["projector", "move", "--tenant", "kitchen", "--to", to]).start();
        tell(system, &mut told, 60).await;
        old.signal(Signal::CONT);
        tell(system, &mut told, 60).await;
        moving.line(&format!("in shard {to} now"), BOUND).await;
        assert!(moving.end(BOUND).await.0.success());
        tell(system, &mut told, 60).await;
    }
    ready(system, "ada", "last").await;
    told
}

/// Tells of so many more dishes, and as many of another tenant, which stays where it is.
async fn tell(system: &System, told: &mut BTreeSet<String>, count: usize) {
    for _ in 0..count {
        let dish = format!("dish {}", told.len());
        ready(system, "ada", &dish).await;
        told.insert(dish);
        let data = json!({ "guest": "eve", "dish": "olives", "table": 1 });
        system.publish("bar", "dish.ready", &data).await;
    }
}

/// Every dish that a device hears of up to the last one, through as many connections as it takes.
async fn listen(gateway: &str, number: usize) -> BTreeSet<String> {
    let mut dishes = BTreeSet::new();
    loop {
        let mut client = sequenced(gateway, number).await;
        while let Some(dish) = hear_dish(&mut client).await {
            if dish == "last" {
                return dishes;
            }
            dishes.insert(dish);
        }
    }
}

async fn sequenced(gateway: &str, number: usize) -> Client {
    let token = token(SECRET, json!({ "tenant": "kitchen", "sub": "ada" }));
    let dial = Dial::new(gateway).bearer(&token).subprotocol("tidings.v1");
    eventually("the gateway takes the device in", BOUND, async || {
        dial.clone().query("device", &format!("d{number}")).try_open().await.map_err(|refusal| refusal.body)
    })
    .await
}

/// The next dish, acknowledged; `None` when the connection ends.
async fn hear_dish(client: &mut Client) -> Option<String> {
    loop {
        let message = client.next_json_or_close(BOUND).await.ok()?;
        if message["type"] == "dish" {
            client.send_json(&json!({ "action": "ack", "seq": message["seq"] })).await;
            return Some(message["dish"].as_str().unwrap().to_owned());
        }
    }
}
