//! What JetStream takes under no circumstances is refused for good, and holds up nothing.

use async_nats::jetstream;
use harness::System;
use serde_json::json;

use super::{broadcast, coordinator, events, open, refused, say, with_id};

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_for_good_and_the_next_is_stored() {
    let system = System::start().await;
    let context = jetstream::new(system.client().clone());
    let mut config = context.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    config.max_message_size = 1_000;
    context.update_stream(&config).await.unwrap();
    let mut cora = open(&system, coordinator("cora")).await;
    let refusal = refused(&mut cora, &with_id(broadcast(&"x".repeat(2_000)), "b1")).await;
    assert_eq!(
        (&refusal["code"], &refusal["original_message_id"]),
        (&json!("MESSAGE_TOO_LARGE"), &json!("b1"))
    );
    say(&mut cora, &with_id(broadcast("short"), "b2")).await;
    assert_eq!(events(&system).await.len(), 1);
}
