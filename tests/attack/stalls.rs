//! Strangers who begin and do not go on.

use serde_json::json;

use crate::scene::{Outcome, Scene, token_of};
use crate::wire::{Wire, upgrade};

/// Half a request each: the gateway closes every one of them and serves the others meanwhile.
pub(crate) async fn attack(scene: &mut Scene) -> Outcome {
    let mut outcome = Outcome::of("a stranger stops in the middle of a request");
    let request = upgrade(&token_of("ops", "ada", &json!({}))).into_bytes();
    let mut stalled = Vec::new();
    for _ in 0..scene.attempts {
        let mut wire = Wire::connect(&scene.system).await;
        let sent = scene.random.usize(..request.len());
        wire.send(&request[..sent]).await;
        stalled.push((sent, wire));
    }
    scene.check().await;
    for (sent, mut wire) in stalled {
        let status = wire.status().await;
        outcome.count((status == Some(101)).then(|| format!("upgraded after {sent} bytes")));
    }
    outcome
}
