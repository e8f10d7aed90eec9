//! Users who are shut out and go on.

use harness::BOUND;
use serde_json::json;

use crate::scene::{Outcome, Scene, token_of};
use crate::wire::{CLOSE, TEXT, Wire, frame};

/// What a disabled user publishes behind the gateway's Close is not stored, and the connection ends.
pub(crate) async fn attack(scene: &mut Scene) -> Outcome {
    let mut outcome = Outcome::of("a disabled user publishes behind the Close");
    let mut mallory = Wire::open(&scene.system, &token_of("ops", "mallory", &json!({ "role": "sre" }))).await;
    let notification = |title: &str| {
        let data = json!({ "title": title, "message": "", "type": "info", "priority": "low" });
        frame(
            TEXT,
            json!({ "type": "notification", "action": "created", "data": data }).to_string().as_bytes(),
        )
    };
    // As long as they may, they can.
    mallory.send(&notification("before")).await;
    loop {
        let (opcode, answer) = mallory.next().await.expect("the answer comes");
        // What was published may arrive before the answer that it was.
        if opcode == TEXT && answer.starts_with(b"{\"action\":\"published\"") {
            break;
        }
        assert!(!answer.starts_with(b"{\"type\":\"error\""), "{}", String::from_utf8_lossy(&answer));
    }
    let arguments = ["users", "disable", "--tenant", "ops", "--user", "mallory"];
    scene.system.command(&arguments).finish(BOUND).await.succeeded();
    while mallory.next().await.expect("a Close comes before the end").0 != CLOSE {}
    let stored = scene.events().await;
    for attempt in 0..scene.attempts {
        // A socket that the gateway has closed takes what is written until the reset arrives.
        mallory.send(&notification("after")).await;
        mallory.send(&frame(0x89, b"ping")).await;
        outcome.count(None);
        // One by one, so that the gateway reads each for itself.
        let bystander = format!("bystander-{attempt}");
        scene.system.open(json!({ "tenant": "ops", "sub": bystander })).await;
    }
    while mallory.next().await.is_some() {}
    let published = scene.events().await - stored;
    outcome.breaches.extend((1..=published).map(|number| format!("event {number} was stored")));
    scene.check().await;
    outcome
}
