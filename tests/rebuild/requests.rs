//! What is asked for, listed and cancelled, without a projector that carries it out.

use std::time::Duration;

use harness::{BOUND, Finished};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::following::Table;

async fn run(table: &Table, arguments: &[&str]) -> Finished {
    table.tidings(arguments).finish(BOUND).await
}

async fn refused(table: &Table, arguments: &[&str], expected: &str) {
    let line = run(table, arguments).await.failed();
    assert!(line.starts_with("tidings: ") && line.contains(expected), "{arguments:?}: {line}");
}

async fn listed(table: &Table) -> Vec<Value> {
    let listed = run(table, &["ls", "--json"]).await.succeeded();
    listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_is_asked_for_is_listed_and_cancelled() {
    let table = Table::lay().await;
    let never = json!({ "tenant": "kitchen", "shard": 0, "generation": 0, "since": null, "next": null });
    assert_eq!(listed(&table).await, std::slice::from_ref(&never));

    let asked =
        run(&table, &["rebuild", "--tenant", "kitchen", "--since", "2h", "--detach"]).await.succeeded();
    assert!(
        asked.starts_with("asked the projector of shard 0 for generation 1 of tenant kitchen in shard 0"),
        "{asked}"
    );
    assert!(asked.contains("`tidings projector cancel --tenant kitchen` cancels it"), "{asked}");
    let next = listed(&table).await[0]["next"].clone();
    assert_eq!(
        (&next["shard"], &next["generation"], &next["progress"]),
        (&json!(0), &json!(1), &Value::Null)
    );
    let [since, asked_at] = ["since", "requested_at"]
        .map(|member| OffsetDateTime::parse(next[member].as_str().unwrap(), &Rfc3339).unwrap());
    assert_eq!(asked_at - since, Duration::from_secs(2 * 60 * 60));
    let text = run(&table, &["ls"]).await.succeeded();
    assert!(
        text.lines().nth(1).unwrap().contains("generation 1 in shard 0, waits for its projector"),
        "{text}"
    );

    // One at a time.
    let again = run(&table, &["rebuild", "--tenant", "kitchen", "--detach"]).await.succeeded();
    assert!(
        again
            .starts_with("already in progress: generation 1 of tenant kitchen in shard 0 from events since "),
        "{again}"
    );
    refused(
        &table,
        &["move", "--tenant", "kitchen", "--to", "1"],
        "generation 1 of tenant kitchen in shard 0 from",
    )
    .await;
    assert_eq!(listed(&table).await[0]["next"], next);

    let cancelled = run(&table, &["cancel", "--tenant", "kitchen"]).await.succeeded();
    assert!(cancelled.starts_with("cancelled: generation 1 of tenant kitchen in shard 0"), "{cancelled}");
    assert_eq!(listed(&table).await, [never]);
    refused(
        &table,
        &["cancel", "--tenant", "kitchen"],
        "no rebuild or move of tenant kitchen is in progress",
    )
    .await;

    // The number of what was cancelled is not given again.
    let moved = run(&table, &["move", "--tenant", "kitchen", "--to", "1", "--detach"]).await.succeeded();
    assert!(
        moved.starts_with("asked the projector of shard 1 for generation 2 of tenant kitchen in shard 1"),
        "{moved}"
    );
    let next = listed(&table).await[0]["next"].clone();
    // What there is already is copied.
    assert_eq!(next["since"], next["requested_at"]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let table = Table::lay().await;
    for (arguments, expected) in [
        (&["move", "--tenant", "kitchen", "--to", "0"][..], "tenant kitchen is in shard 0 already"),
        (&["rebuild", "--tenant", "kitchn"], "there is no tenant \"kitchn\"; did you mean \"kitchen\"?"),
        (
            &["move", "--tenant", "kitchn", "--to", "1"],
            "there is no tenant \"kitchn\"; did you mean \"kitchen\"?",
        ),
        (&["rebuild", "--tenant", "Kitchen"], "tenant"),
        (
            &["rebuild", "--tenant", "kitchen", "--since", "yesterday"],
            "--since \"yesterday\" is neither RFC 3339",
        ),
        (
            &["rebuild", "--tenant", "kitchen", "--since", "2999-01-01T00:00:00Z"],
            "is no time between 1970 and now",
        ),
        (&["cancel", "--tenant", "kitchn"], "there is no tenant \"kitchn\"; did you mean \"kitchen\"?"),
    ] {
        refused(&table, arguments, expected).await;
    }
    for arguments in [
        &["move", "--tenant", "kitchen", "--to", "64"][..],
        &["rebuild", "--tenant", "kitchen", "--json"],
        &["rebuild", "--tenant", "kitchen", "--dry-run", "--detach"],
        &["rebuild"],
    ] {
        assert_eq!(run(&table, arguments).await.code, Some(2), "{arguments:?}");
    }
    assert_eq!(listed(&table).await.len(), 1, "nobody was placed");
}

#[tokio::test]
async fn a_tenant_is_where_it_was_configured_to_begin() {
    let table = Table::lay().await;
    table.configure("[streams.shards]\nkitchen = 2\ngarden = 1\n");
    let shards: Vec<_> =
        listed(&table).await.iter().map(|line| (line["tenant"].clone(), line["shard"].clone())).collect();
    assert_eq!(shards, [(json!("garden"), json!(1)), (json!("kitchen"), json!(2))]);
    let asked = run(&table, &["rebuild", "--tenant", "kitchen", "--detach"]).await.succeeded();
    assert!(asked.starts_with("asked the projector of shard 2 for generation 1"), "{asked}");
    // Changing it moves nobody.
    table.configure("[streams.shards]\nkitchen = 3\n");
    assert_eq!(listed(&table).await[0]["shard"], 2);
}
