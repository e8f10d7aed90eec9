//! Users who send bytes that are no frames.

use serde_json::{Value, json};

use crate::scene::{Outcome, Scene, token_of};
use crate::wire::{CLOSE, TEXT, Wire, frame};

/// Each on a connection of its own, which hears nothing but answers and ends.
pub(crate) async fn attack(scene: &mut Scene) -> Outcome {
    let mut outcome = Outcome::of("a user sends random bytes and broken frames");
    for attempt in 0..scene.attempts {
        let token = token_of("ops", &format!("mallory-{attempt}"), &json!({}));
        let mut wire = Wire::open(&scene.system, &token).await;
        for _ in 0..scene.random.u8(1..6) {
            let payload = scene.bytes(200);
            let bytes = match scene.random.u8(..3) {
                0 => payload,
                1 => frame(scene.random.u8(..), &payload),
                // A header that announces more than comes.
                _ => [&[scene.random.u8(..), 0xff][..], &scene.bytes(12)].concat(),
            };
            wire.send(&bytes).await;
        }
        wire.send(&frame(CLOSE, &1000_u16.to_be_bytes())).await;
        drop_write(&mut wire).await;
        outcome.count(foreign(&mut wire).await);
    }
    scene.check().await;
    outcome
}

/// What completes whatever frame was announced, so that the gateway need not wait for it.
async fn drop_write(wire: &mut Wire) {
    for _ in 0..4 {
        if !wire.send(&[0; 64]).await {
            return;
        }
    }
    wire.shut().await;
}

/// What the gateway sent until the end that is no answer to a mistake.
async fn foreign(wire: &mut Wire) -> Option<String> {
    while let Some((first, payload)) = wire.next().await {
        if first == TEXT {
            let message: Value = serde_json::from_slice(&payload).unwrap();
            if message["type"] != "error" && message["action"] != "pong" {
                return Some(message.to_string());
            }
        }
    }
    None
}
