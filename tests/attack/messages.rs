//! A user without any role who asks for what others receive.

use harness::{BOUND, Client};
use serde_json::{Value, json};

use crate::scene::{Outcome, Scene, token_of};

/// While messages go to others, no message of theirs reaches this user, whatever is sent.
pub(crate) async fn attack(scene: &mut Scene) -> Outcome {
    let mut outcome = Outcome::of("a user asks for, publishes and confirms what they may not");
    let stored = scene.events().await;
    for tenant in ["shelter", "documents"] {
        let mut mallory = scene.system.open(json!({ "tenant": tenant, "sub": "mallory" })).await;
        for _ in 0..scene.attempts {
            let request = request(scene);
            mallory.send_json(&request).await;
            outcome.count(foreign(&mut mallory).await.map(|answer| format!("{request} brought {answer}")));
        }
        publish_for_others(scene).await;
        outcome.count(foreign(&mut mallory).await);
    }
    let published = scene.events().await - stored;
    let expected = 2 * OTHERS;
    outcome.count((published != expected).then(|| format!("{published} events were stored, not {expected}")));
    scene.check().await;
    outcome
}

const OTHERS: u64 = 3;

async fn publish_for_others(scene: &Scene) {
    let broadcast = json!({ "target": "user", "userId": "bert", "message": "for bert" });
    scene.system.publish("shelter", "broadcast.created", &broadcast).await;
    let broadcast = json!({ "target": "role", "role": "first_responder", "message": "for responders" });
    scene.system.publish("shelter", "broadcast.created", &broadcast).await;
    let progress = json!({ "userId": "bert", "docId": "d1", "pagesProcessed": 1, "totalPages": 2 });
    scene.system.publish("documents", "processing.progressed", &progress).await;
}

/// What came up to the answer to a ping that concerns somebody else.
async fn foreign(client: &mut Client) -> Option<String> {
    client.send_json(&json!({ "action": "ping", "id": "end" })).await;
    let is_end = |message: &Value| message["action"] == "pong" && message["original_message_id"] != "x";
    let heard = client.until(BOUND, is_end).await;
    let is_answer = |message: &Value| {
        message["type"] == "error"
            || ["pong", "subscribed", "unsubscribed", "authenticated"]
                .iter()
                .any(|verb| message["action"] == *verb)
    };
    heard.iter().find(|message| !is_answer(message)).map(Value::to_string)
}

fn request(scene: &mut Scene) -> Value {
    let address =
        *scene.one_of(&["user:bert", "role:first_responder", "all", "*", ">", "shelter:s9", "topic:x"]);
    let role = json!({ "role": "emergency_coordinator" });
    let forged = format!("{}x", token_of("shelter", "bert", &role));
    match scene.random.u8(..9) {
        0 => json!({ "action": "subscribe", "topics": [address] }),
        1 => json!({ "action": "subscribe", "topics": [address], "filters": { address: [address] } }),
        2 => json!({ "action": "progress", "docId": "d1" }),
        3 => json!({ "action": "alert", "data": { "title": "t", "message": "m", "severity": "critical" } }),
        4 => json!({ "action": "broadcast", "data": { "target": "all", "message": "m" } }),
        5 => json!({ "action": "shelter_update", "data": { "shelterId": "s9", "status": "closed" } }),
        6 => json!({ "action": "ack", "seq": scene.random.u64(..) }),
        7 => json!({ "action": "authenticate", "token": forged }),
        _ => {
            json!({ "action": scene.json(2), "type": scene.json(1), "topics": scene.json(2), "data": scene.json(3) })
        }
    }
}
