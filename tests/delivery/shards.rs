//! A tenant that begins in another shard than the first.

use std::fs;

use harness::BOUND;
use serde_json::{Value, json};

use crate::command::Desk;
use crate::kitchen;

#[tokio::test]
async fn dev_runs_a_projector_for_every_shard_in_use() {
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready"], &json!([7]));
    fs::write(desk.folder().join("tidings.toml"), "[streams.shards]\nkitchen = 1\n").unwrap();
    let run = async |arguments: &[&str]| desk.tidings(arguments).finish(BOUND).await.succeeded();
    let dev = desk.dev().await;
    kitchen::publish(&desk, "dish.ready", "a", 7).await;
    let token = run(&["token", "--tenant", "kitchen", "--sub", "ada"]).await;
    let listen = ["listen", "--token", token.trim_end(), "--count", "1"];
    let heard: Value = serde_json::from_str(&run(&listen).await).unwrap();
    assert_eq!(heard, json!({ "type": "dish", "table": 7 }));
    let listed: Value = serde_json::from_str(&run(&["projector", "ls", "--json"]).await).unwrap();
    assert_eq!(listed["shard"], 1, "{listed}");
    dev.interrupt();
    let (status, output) = dev.end(BOUND).await;
    assert!(status.success(), "{output}");

    // It stays there, whatever is configured, and is served.
    fs::write(desk.folder().join("tidings.toml"), "").unwrap();
    let dev = desk.dev().await;
    kitchen::publish(&desk, "dish.ready", "b", 7).await;
    let all =
        run(&["listen", "--token", token.trim_end(), "--device", "other", "--count", "2", "--sequenced"])
            .await;
    assert_eq!(all.lines().filter(|line| line.contains(r#""type":"dish""#)).count(), 2, "{all}");
    dev.interrupt();
    assert!(dev.end(BOUND).await.0.success());
}
