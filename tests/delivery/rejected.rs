//! `tidings rejected`: what could not be projected is looked at, tried again and dropped by hand.

use harness::{BOUND, eventually};
use serde_json::{Value, json};

use crate::command::Desk;
use crate::kitchen;

async fn run(desk: &Desk, arguments: &[&str]) -> String {
    desk.tidings(arguments).finish(BOUND).await.succeeded()
}

async fn rejected(desk: &Desk) -> Vec<Value> {
    let listed = run(desk, &["rejected", "ls", "--tenant", "kitchen", "--json"]).await;
    listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until the rejected events have been tried so often.
async fn until_tries_are(desk: &Desk, expected: &[u64]) -> Vec<Value> {
    eventually("the tries of what was rejected", BOUND, async || {
        let found = rejected(desk).await;
        let tries: Vec<_> = found.iter().map(|rejected| rejected["tries"].as_u64().unwrap()).collect();
        if tries == expected { Ok(found) } else { Err(format!("{tries:?}")) }
    })
    .await
}

#[tokio::test]
async fn rejected_events_are_tried_again_and_dropped() {
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready"], &json!([1]));
    let mut dev = desk.dev().await;
    assert_eq!(
        run(&desk, &["rejected", "ls", "--tenant", "kitchen"]).await,
        "there are no rejected events\n"
    );
    for (id, table) in [("a", 7), ("b", 8), ("c", 9)] {
        kitchen::publish(&desk, "dish.ready", id, table).await;
    }
    let found = until_tries_are(&desk, &[1, 1, 1]).await;
    let position = |index: usize| found[index]["position"].as_str().unwrap();
    let shown = run(&desk, &["rejected", "show", "--tenant", "kitchen", position(0)]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["reason"], "schema-violation", "{shown}");
    assert_eq!(shown["pointer"], "/table");
    assert_eq!(shown["subject"], "events.kitchen.dish.ready");
    assert_eq!(shown["payload"]["data"]["table"], 7);

    // Nothing has been mended yet: it is rejected again, and is still one rejection.
    run(&desk, &["rejected", "retry", "--tenant", "kitchen", position(0)]).await;
    let again = until_tries_are(&desk, &[1, 1, 2]).await;
    assert_eq!(again[2]["position"], found[0]["position"]);
    assert_eq!(again[2]["first_seen"], found[0]["first_seen"]);
    let dropped = run(&desk, &["rejected", "drop", "--tenant", "kitchen", position(1)]).await;
    assert_eq!(dropped, "dropped 1 event\n");
    // A running projector takes up what is mended.
    kitchen::write(&desk, &["dish.ready"], &json!([1, 7, 9]));
    dev.line("catalogs reloaded", BOUND).await;
    let none = ["rejected", "retry", "--tenant", "kitchen", "--reason", "no-address"];
    assert!(run(&desk, &none).await.starts_with("retried 0 events"));
    run(&desk, &["rejected", "retry", "--tenant", "kitchen", "--event", "dish.ready"]).await;
    let token = run(&desk, &["token", "--tenant", "kitchen", "--sub", "ada"]).await;
    let listen = ["listen", "--token", token.trim_end(), "--count", "2", "--sequenced"];
    let heard = run(&desk, &listen).await;
    let heard = heard.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut dishes: Vec<_> = heard
        .filter(|message| message["type"] == "dish")
        .map(|message| (message["id"].as_str().unwrap().to_owned(), message["table"].as_u64().unwrap()))
        .collect();
    dishes.sort();
    // With the ids that their producer gave them.
    assert_eq!(dishes, [("a".to_owned(), 7), ("c".to_owned(), 9)]);
    until_tries_are(&desk, &[]).await;

    let nowhere = desk.tidings(&["rejected", "show", "--tenant", "kitchen", position(0)]).finish(BOUND).await;
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.errors.contains("there is no rejected event"), "{}", nowhere.errors);
    let which = desk.tidings(&["rejected", "drop", "--tenant", "kitchen"]).finish(BOUND).await;
    assert_eq!(which.code, Some(2), "{}", which.errors);
    dev.interrupt();
    dev.end(BOUND).await;
}
