//! A fresh token, or a new connection, says anew what its holder may say.

use harness::{BOUND, SECRET, System, token};
use serde_json::{Value, json};

use crate::{broadcast, coordinator, events, operator, refused, say, update};

#[tokio::test]
async fn a_fresh_token_counts_at_once() {
    let mut system = System::start().await;
    let mut client = system.open(operator("dee", "s9")).await;
    say(&mut client, &update("s9", 1)).await;
    for (claims, frame, may) in [
        (operator("dee", "s4"), update("s9", 2), false),
        (operator("dee", "s4"), update("s4", 2), true),
        (coordinator("dee"), update("s4", 3), false),
        (coordinator("dee"), broadcast("now"), true),
        (json!({ "tenant": "shelter", "sub": "dee" }), broadcast("no more"), false),
        (operator("dee", "s9"), update("s9", 4), true),
    ] {
        let fresh = json!({ "action": "authenticate", "token": token(SECRET, claims.clone()) });
        client.send_json(&fresh).await;
        if may {
            say(&mut client, &frame).await;
        } else {
            assert_eq!(refused(&mut client, &frame).await["code"], "FORBIDDEN", "{claims} {frame}");
        }
    }
    // Somebody else's token changes nothing.
    let fresh = json!({ "action": "authenticate", "token": token(SECRET, coordinator("cy")) });
    assert_eq!(refused(&mut client, &fresh).await["code"], "FORBIDDEN");
    assert_eq!(refused(&mut client, &broadcast("as cy")).await["code"], "FORBIDDEN");
    assert_eq!(events(&system).await.len(), 4);
    system.check_well();
}

#[tokio::test]
async fn tenants_have_their_own_verbs() {
    let mut system = System::start().await;
    let everything: Value = json!({
        "sub": "ada", "role": ["sre", "shelter_operator", "emergency_coordinator"], "shelterId": "s9", "orgId": "o1",
    });
    for tenant in ["cnc", "documents", "ops", "uploads"] {
        let mut claims = everything.clone();
        claims["tenant"] = tenant.into();
        let mut client = system.open(claims).await;
        for frame in [update("s9", 1), broadcast("x")] {
            let error = refused(&mut client, &frame).await;
            assert_eq!(error["code"], "UNKNOWN_ACTION", "{tenant}: {error}");
        }
        client.expect_nothing_before_pong(BOUND).await;
    }
    assert!(events(&system).await.is_empty());
    system.check_well();
}
