//! Only what Tidings marked counts as a notice, whatever else lies on the subjects of notices.

use async_nats::HeaderMap;
use harness::{BOUND, System};

use crate::site::{dial, hears, listener};

#[tokio::test]
async fn what_jetstream_answers_is_no_notice() {
    let mut system = System::start().await;
    let mut client = listener(dial(system.address(), "ada")).await;
    hears(&system, &mut client, "before").await;
    client.close().await;
    let place = || {
        let mut headers = HeaderMap::new();
        headers.insert("Tidings-Place", "0/7");
        headers
    };
    for (subject, headers, body) in [
        ("purges.ops.user.ada", HeaderMap::new(), r#"{"stream":"EVENTS","seq":5}"#),
        ("purges.ops.topic.incidents", HeaderMap::new(), ""),
        ("places.ops", place(), ""),
        ("places.ops", place(), r#"{"stream":"EVENTS","seq":5}"#),
    ] {
        system.publish_raw(subject, headers, body).await;
    }
    // And the real thing: a reply subject.
    let client_of_nats = system.client();
    client_of_nats
        .publish_with_reply("events.ops.incident.created", "purges.ops.user.ada", "{}".into())
        .await
        .unwrap();
    client_of_nats.flush().await.unwrap();
    let show = ["consumers", "show", "--tenant", "ops", "--user", "ada", "--device", "d"];
    let shown = system.command(&show).finish(BOUND).await.succeeded();
    assert!(shown.contains("incidents"), "{shown}");
    // Whoever starts believes it no more than who runs.
    let projector = system.command(&["projector"]).start();
    system.projector.interrupt();
    std::mem::replace(&mut system.projector, projector).end(BOUND).await;
    let second = system.another_gateway(&[]).await;
    let mut back = dial(&second.address, "ada").open().await;
    hears(&system, &mut back, "after").await;
    let mut again = dial(system.address(), "bo").open().await;
    again.expect_nothing_before_pong(BOUND).await;
    let line = "skipped messages in the stream of envelopes that Tidings did not write";
    assert_eq!(system.gateway.output().matches(line).count(), 1, "{}", system.gateway.output());
    let output = system.command(&["projector", "ls"]).finish(BOUND).await.succeeded();
    let is_unmoved = |line: &str| line.split_whitespace().take(3).eq(["ops", "0", "0"]);
    assert!(output.lines().any(is_unmoved), "{output}");
    system.check_well();
}
