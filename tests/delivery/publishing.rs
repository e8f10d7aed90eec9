//! `tidings publish` says what becomes of an event, as the projector decides it.

use std::fs;

use harness::{BOUND, Finished};
use serde_json::json;

use crate::command::Desk;
use crate::kitchen;

async fn publish(desk: &Desk, line: &str, data: &str) -> Finished {
    let arguments: Vec<_> = line.split(' ').chain(["--data", data]).collect();
    desk.tidings(&arguments).finish(BOUND).await
}

#[tokio::test]
async fn what_would_be_rejected_is_not_published() {
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready"], &json!([1]));
    let dev = desk.dev().await;
    let good =
        publish(&desk, "publish --tenant kitchen dish.ready --id a", r#"{"guest":"ada","table":1}"#).await;
    assert_eq!(good.succeeded(), "dish.ready a is event 1\n");
    let unknown = publish(&desk, "publish --tenant kitchen dish.redy", "{}").await.failed();
    let expected = "there is no event \"dish.redy\" of tenant kitchen; did you mean \"dish.ready\"?; there are dish.ready";
    assert!(unknown.contains(expected), "{unknown}");
    let wrong = r#"{"guest":"ada","table":7}"#;
    let violation = publish(&desk, "publish --tenant kitchen dish.ready", wrong).await.failed();
    assert!(violation.contains("the projector would reject it: schema-violation: "), "{violation}");
    assert!(violation.contains(" (at /table); --unchecked publishes it all the same"), "{violation}");
    let nobody = publish(&desk, "publish --tenant kitchn dish.ready", wrong).await.failed();
    assert!(nobody.contains("there is no tenant \"kitchn\"; did you mean \"kitchen\"?"), "{nobody}");
    let none = desk.tidings(&["rejected", "ls"]).finish(BOUND).await.succeeded();
    assert_eq!(none, "there are no rejected events\n");

    // The projector has the last word, whatever was checked here.
    let rejected =
        publish(&desk, "publish --tenant kitchen dish.ready --id b --unchecked", wrong).await.failed();
    assert!(
        rejected.contains("dish.ready b is event 2, and the projector rejected it: schema-violation: "),
        "{rejected}"
    );
    assert!(rejected.contains(" (at /table); `tidings rejected show "), "{rejected}");
    // What was rejected counts for nothing, so it is no repetition that comes to the same end.
    let again =
        publish(&desk, "publish --tenant kitchen dish.ready --id b --unchecked", wrong).await.failed();
    assert!(
        again.contains("dish.ready b is event 3, and the projector rejected it: schema-violation: "),
        "{again}"
    );
    // What was accepted has its id to itself.
    let right = r#"{"guest":"ada","table":1}"#;
    for event in [4, 5] {
        let stored = publish(&desk, "publish --tenant kitchen dish.ready --id d", right).await.succeeded();
        assert_eq!(stored, format!("dish.ready d is event {event}\n"), "a repetition is fine");
    }
    let other = r#"{"guest":"bob","table":1}"#;
    let reused = publish(&desk, "publish --tenant kitchen dish.ready --id d", other).await.failed();
    assert!(
        reused.contains("dish.ready d is event 6, and the projector rejected it: id-reused: "),
        "{reused}"
    );
    assert!(reused.contains("-5 has, but other content"), "{reused}");
    let stored = publish(&desk, "publish --tenant kitchen dish.ready --id c --no-wait", wrong).await;
    assert_eq!(stored.succeeded(), "dish.ready c is event 7\n");
    dev.interrupt();
    assert!(dev.end(BOUND).await.0.success());
}

/// Checked by the catalog that runs, whatever lies in the folder of who publishes.
#[tokio::test]
async fn what_counts_is_the_catalog_that_runs() {
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready"], &json!([1]));
    let _dev = desk.dev().await;
    let other = Desk::without_schemas();
    kitchen::write(&other, &["dish.ready", "dish.late"], &json!([1, 2]));
    let from_there = async |event: &str, table: u64| {
        let data = json!({ "guest": "ada", "table": table }).to_string();
        let arguments = ["publish", "--tenant", "kitchen", event, "--data", &data];
        let schemas = other.folder().join("schemas");
        desk.tidings(&arguments).variable("TIDINGS_SCHEMAS__DIRECTORY", schemas).finish(BOUND).await
    };
    assert!(from_there("dish.late", 1).await.failed().contains("there is no event \"dish.late\""));
    assert!(from_there("dish.ready", 2).await.failed().contains("schema-violation"));
    from_there("dish.ready", 1).await.succeeded();
    // A folder without catalogs is no obstacle.
    fs::remove_dir_all(other.folder().join("schemas")).unwrap();
    from_there("dish.ready", 1).await.succeeded();
}
