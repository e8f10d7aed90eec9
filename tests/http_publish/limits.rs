//! Limits of size and rate.

use harness::{Setup, System};
use serde_json::json;

use crate::{Post, cloud_event, events, incident, producer};

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let setup = Setup::default()
        .variable("TIDINGS_PROJECTOR__MAX_EVENT_BYTES", "2 KiB")
        .variable("TIDINGS_GATEWAY__MAX_PRODUCER_REQUEST_BYTES", "8 KiB");
    let mut system = setup.start().await;
    let large = |bytes: usize| {
        let mut incident = incident("1");
        incident["title"] = "x".repeat(bytes).into();
        Post::to(system.address(), &producer(&json!({}))).event("incident.created").json(&incident)
    };
    let refused = large(3_000).send().await;
    assert_eq!(
        (refused.code(), refused.body["reason"].as_str()),
        ((413, "EVENT_TOO_LARGE"), Some("too-large"))
    );
    assert_eq!(large(9_000).send().await.code(), (413, "BODY_TOO_LARGE"));
    assert_eq!(events(&system).await.len(), 0);
    large(1_000).send().await.good();
    system.check_well();
}

/// What NATS cannot store is refused before anything is sent.
#[tokio::test]
async fn what_nats_does_not_take_is_refused() {
    let system = Setup::default().nats("max_payload: 4096").start().await;
    let mut incident = incident("1");
    incident["title"] = "x".repeat(5_000).into();
    let post = Post::to(system.address(), &producer(&json!({}))).event("incident.created").json(&incident);
    assert_eq!(post.send().await.code(), (413, "EVENT_TOO_LARGE"));
}

#[tokio::test]
async fn who_publishes_too_much_is_told_when_to_come_again() {
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__PRODUCER_EVENTS_PER_MINUTE", "1")
        .variable("TIDINGS_GATEWAY__PRODUCER_EVENT_BURST", "1000");
    let system = setup.start().await;
    let batch: Vec<_> = (0..999).map(|number| cloud_event(&number.to_string(), "1")).collect();
    let as_user = |user: &str| Post::to(system.address(), &producer(&json!({ "sub": user })));
    as_user("one").batch(&batch).send().await.good();
    let refused = as_user("one").batch(&batch[..2]).send().await;
    assert_eq!(refused.code(), (429, "TOO_MANY_EVENTS"));
    assert!(refused.retry_after.is_some_and(|seconds| seconds.parse::<u64>().unwrap() > 1));
    // One is still within the burst, and other producers have their own.
    as_user("one").batch(&batch[..1]).send().await.good();
    assert_eq!(as_user("one").batch(&batch[..1]).send().await.code(), (429, "TOO_MANY_EVENTS"));
    as_user("two").batch(&batch[..1]).send().await.good();
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_refused_before_its_token_is_read() {
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__PRODUCER_REQUESTS_PER_MINUTE_PER_ADDRESS", "1")
        .variable("TIDINGS_GATEWAY__PRODUCER_REQUEST_BURST_PER_ADDRESS", "2");
    let system: System = setup.start().await;
    let post =
        |bearer: &str| Post::to(system.address(), bearer).event("incident.created").json(&incident("1"));
    assert_eq!(post("nonsense").send().await.code(), (401, "TOKEN_MALFORMED"));
    post(&producer(&json!({}))).send().await.good();
    for bearer in ["nonsense", &producer(&json!({}))] {
        assert_eq!(post(bearer).send().await.code(), (429, "TOO_MANY_EVENTS"));
    }
}
