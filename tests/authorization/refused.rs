//! Names that nobody can have, and topics that nobody can subscribe to.

use harness::{BOUND, Dial, SECRET, System, token};
use serde_json::{Value, json};

use crate::ids::ids;

#[tokio::test]
async fn a_name_that_is_none_reaches_nobody() {
    let mut system = System::start().await;
    for (sub, code) in [
        (json!(""), "CLAIM_SUB"),
        (json!(null), "CLAIM_SUB"),
        (json!(["ada"]), "CLAIM_SUB"),
        (json!({ "id": "ada" }), "CLAIM_SUB"),
        (json!("x".repeat(513)), "CONSUMER_NAME"),
        (json!("é".repeat(300)), "CONSUMER_NAME"),
    ] {
        let claims = json!({ "tenant": "ops", "sub": sub });
        let refusal = system.dial().bearer(&token(SECRET, claims)).refused().await;
        assert!(refusal.status == 403 && refusal.body.contains(code), "{sub}: {refusal:?}");
    }
    for device in ["", "a\nb", "\u{0}", &"x".repeat(65)] {
        let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
        let refusal = Dial::new(system.address()).query("device", device).bearer(&ada).refused().await;
        assert!(refusal.status == 400 && refusal.body.contains("DEVICE_NAME"), "{device:?}: {refusal:?}");
    }
    for tenant in ["*", ">", "ops.>", "Ops", "ops ", "", "ops/../cnc", "öps"] {
        let claims = json!({ "tenant": tenant, "sub": "ada" });
        let refusal = system.dial().bearer(&token(SECRET, claims)).refused().await;
        assert_eq!(refusal.status, 403, "{tenant:?}: {refusal:?}");
    }
    let mut ada = system.open(json!({ "tenant": "ops", "sub": "ada" })).await;
    for id in [json!(""), json!(null), json!(["ada"]), json!({ "id": "ada" }), json!("x".repeat(513))] {
        let data = json!({ "userId": id, "title": "", "message": "", "type": "info", "priority": "low" });
        let event = system.publish("ops", "notification.created", &data).await;
        let rejected = system.rejected(event).await;
        let reason = rejected.header("Tidings-Reason").unwrap();
        assert!(["no-address", "missing-value"].contains(&reason), "{id}: {reason}");
    }
    ada.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}

#[tokio::test]
async fn a_topic_is_its_name_and_nothing_else() {
    let mut system = System::start().await;
    let names = ["incidents.>", "incidents ", "Incidents", "topic:incidents", "user:ada", "all", ""];
    for tenant in ["cnc", "documents", "ops", "shelter", "uploads"] {
        let mut client = system.open(json!({ "tenant": tenant, "sub": "ada" })).await;
        let ids = ids();
        for name in names.into_iter().chain(ids.iter().map(String::as_str)) {
            if tenant == "ops" && name == "incidents" {
                continue;
            }
            client.send_json(&json!({ "action": "subscribe", "topics": [name] })).await;
            let answer: Value = client.next_json(BOUND).await;
            assert_eq!(answer["data"]["code"], "UNKNOWN_TOPIC", "{tenant} {name:?}: {answer}");
        }
        client.expect_nothing_before_pong(BOUND).await;
    }
    system.check_well();
}
