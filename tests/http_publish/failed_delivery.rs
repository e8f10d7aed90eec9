//! A delivery that has failed.

use async_nats::HeaderMap;
use harness::{System, Tidings};
use serde_json::json;

/// Starts a dispatcher, and stores a fact as it would.
pub(crate) async fn store(system: &System) -> Tidings {
    let dispatcher = system.dispatcher(&[]).await;
    let pending = json!({
        "version": 1, "subject": "envelopes.ops.durable.user.bob.incident.-", "sequence": 1, "origin": "1-1/0/0",
        "event": "e", "source": null, "channel": "webhook", "attempts": 1,
    });
    let fact = json!({
        "version": 1, "delivery": "dlv_1", "event": "e", "source": null, "message": "incident", "channel": "webhook",
        "status": "failed", "reason": "status 410", "attempts": 1, "is_repeated": false, "reference": null, "reached": [],
        "next": "2025-01-17T16:00:00.123456Z",
    });
    let mut headers = HeaderMap::new();
    headers.insert("Tidings-Delivery", pending.to_string());
    system.publish_raw("deliveries.facts.ops.bob.1-1-0-0", headers, fact.to_string()).await;
    dispatcher
}
