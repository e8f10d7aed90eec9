//! What a rebuild would change is shown, and nothing is written.

use async_nats::jetstream;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::kitchen::{self, CATALOG, dry_run, ready, with_catalog};

const DRY_RUN: [&str; 4] = ["rebuild", "--tenant", "kitchen", "--dry-run"];

/// How many are the same, different, new and gone.
fn counts(report: &Value) -> [u64; 4] {
    ["same", "different", "new", "gone"].map(|kind| report[kind].as_u64().unwrap())
}

#[tokio::test]
async fn with_the_catalogs_that_run_nothing_would_differ() {
    let (system, _schemas) = kitchen::open().await;
    for (guest, dish) in [("ada", "soup"), ("bob", "stew"), ("ada", "cake")] {
        ready(&system, guest, dish).await;
    }
    for (table, state) in [(1, "laid"), (2, "laid"), (1, "taken"), (1, "free")] {
        let data = json!({ "table": table, "state": state });
        system.publish("kitchen", "table.changed", &data).await;
    }
    system.publish("kitchen", "heat.measured", &json!({})).await;
    system.publish("kitchen", "dish.burnt", &json!({})).await;
    let report = dry_run(&system, CATALOG, 9, &[]).await;
    // Of the tables' states the newest of each, and nothing of the heat.
    assert_eq!(counts(&report), [5, 0, 0, 0], "{report}");
    assert_eq!(report["rejected"], json!({ "unknown-event": 1 }));
    let text = with_catalog(&system, CATALOG, &DRY_RUN).await.succeeded();
    assert!(text.starts_with("tenant kitchen, shard 0, generation 0: 9 events\n"), "{text}");
    assert!(text.contains("         1 events rejected: unknown-event 1\nrejected: "), "{text}");
    assert!(text.ends_with("\nnothing would differ\n"), "{text}");

    // What was removed is not made again.
    let purge = ["users", "purge", "--tenant", "kitchen", "--user", "ada"];
    let purged = system.command(&purge).finish(harness::BOUND).await.succeeded();
    assert!(purged.starts_with("removed 2 envelopes"), "{purged}");
    assert_eq!(counts(&dry_run(&system, CATALOG, 9, &[]).await), [3, 0, 0, 0]);
}

/// Events that came again became nothing, and would become nothing.
#[tokio::test]
async fn repetitions_are_no_difference() {
    let (system, _schemas) = kitchen::open().await;
    let events = [("a", "soup"), ("b", "stew"), ("a", "soup"), ("b", "cake"), ("c", "pie")];
    for (id, dish) in events {
        let headers = async_nats::HeaderMap::from_iter([(
            "Nats-Msg-Id".parse().unwrap(),
            id.parse::<async_nats::HeaderValue>().unwrap(),
        )]);
        let data = json!({ "guest": "ada", "dish": dish, "table": 4 });
        system.publish_raw("events.kitchen.dish.ready", headers, data.to_string()).await;
    }
    let report = dry_run(&system, CATALOG, 5, &[]).await;
    assert_eq!(counts(&report), [3, 0, 0, 0], "{report}");
    assert_eq!(report["rejected"], json!({ "id-reused": 1 }));
}

#[tokio::test]
async fn each_kind_of_difference_is_shown_with_examples() {
    let (system, _schemas) = kitchen::open().await;
    for (guest, dish) in [("ada", "soup"), ("bob", "stew"), ("eve", "cake"), ("dan", "pie")] {
        ready(&system, guest, dish).await;
    }
    // Rejected by the catalog that runs.
    system.publish("kitchen", "dish.burnt", &json!({ "guest": "ada", "dish": "tart", "table": 4 })).await;
    system.publish("kitchen", "table.changed", &json!({ "table": 1, "state": "laid" })).await;
    let burnt = CATALOG.replace(r#"["dish.ready"]"#, r#"["dish.ready", "dish.burnt"]"#);
    let report = dry_run(&system, &burnt, 6, &[]).await;
    assert_eq!(counts(&report), [5, 0, 1, 0], "{report}");
    let example = &report["examples"]["new"][0];
    assert_eq!(example["address"], "user:ada");
    assert_eq!(example["message"], json!({ "type": "dish", "dish": "tart", "table": 4 }));

    let renamed = CATALOG.replace(r#"table = "{data.table}" }"#, r#"seat = "{data.table}" }"#);
    let report = dry_run(&system, &renamed, 6, &[]).await;
    assert_eq!(counts(&report), [1, 4, 0, 0], "{report}");
    let examples = report["examples"]["different"].as_array().unwrap();
    assert_eq!(examples.len(), 3);
    let expected = json!([
        { "pointer": "/table", "before": 4, "after": null },
        { "pointer": "/seat", "before": null, "after": 4 },
    ]);
    assert_eq!(examples[0]["changes"], expected);
    let text = with_catalog(&system, &renamed, &DRY_RUN).await.succeeded();
    let shown = "\n  /table: 4 → nothing\n  /seat: nothing → 4\n";
    assert!(text.contains("\n         4 that would be different\n") && text.contains(shown), "{text}");
    assert!(
        text.contains("different: dish to user:ada, of event ") && !text.contains("nothing would"),
        "{text}"
    );

    let elsewhere = CATALOG.replace("user:{data.guest}", "role:cook");
    assert_eq!(counts(&dry_run(&system, &elsewhere, 6, &[]).await), [1, 0, 4, 4]);
    // Now rejected, so what was made is gone.
    let strict = CATALOG.replace("{data.guest}", "{data.waiter}");
    let report = dry_run(&system, &strict, 6, &[]).await;
    assert_eq!(counts(&report), [1, 0, 0, 4], "{report}");
    assert_eq!(report["rejected"], json!({ "unknown-event": 1, "missing-value": 4 }));
    assert_eq!(report["examples"]["rejected"][0]["pointer"], "/waiter");
    // Of all this nothing was written.
    assert_eq!(counts(&dry_run(&system, CATALOG, 6, &[]).await), [5, 0, 0, 0]);
}

#[tokio::test]
async fn what_is_older_than_asked_for_is_left_out() {
    let (system, _schemas) = kitchen::open().await;
    for _ in 0..3 {
        ready(&system, "ada", "soup").await;
    }
    dry_run(&system, CATALOG, 3, &[]).await;
    // Since the moment at which the stream stored the last one.
    let events = jetstream::new(system.client().clone()).get_stream("EVENTS").await.unwrap();
    let since = events.get_raw_message(3).await.unwrap().time.format(&Rfc3339).unwrap();
    let report = dry_run(&system, CATALOG, 1, &["--since", &since]).await;
    assert_eq!((counts(&report), &report["older"]), ([1, 0, 0, 0], &json!(2)), "{report}");
    let text =
        with_catalog(&system, CATALOG, &[&DRY_RUN[..], &["--since", &since]].concat()).await.succeeded();
    assert!(
        text.contains("\n         2 of events that are older than these, which are not compared\n"),
        "{text}"
    );
    assert_eq!(counts(&dry_run(&system, CATALOG, 3, &["--since", "1h"]).await), [3, 0, 0, 0]);
}

#[tokio::test]
async fn without_events_nothing_would_differ() {
    let (system, _schemas) = kitchen::open().await;
    assert_eq!(counts(&dry_run(&system, CATALOG, 0, &[]).await), [0, 0, 0, 0]);
    let nobody = ["rebuild", "--tenant", "garden", "--dry-run"];
    let refused = with_catalog(&system, CATALOG, &nobody).await.failed();
    assert!(refused.ends_with("there is no tenant \"garden\"; there are kitchen"), "{refused}");
}
