//! Removing all of a user's messages, as an administrator does in the middle of everything.

use harness::{BOUND, System};
use serde_json::json;

use crate::site::token_of;

/// A purge writes between the projector's envelopes, which is as it should be: nothing warns of it.
#[tokio::test]
async fn a_purge_alarms_nobody() {
    let mut system = System::start().await;
    let mut bo = system.dial().bearer(&token_of("bo", &json!({}))).open().await;
    bo.expect_nothing_before_pong(BOUND).await;
    for round in 0..4 {
        for user in ["ada", "bo"] {
            let data = json!({
                "userId": user, "title": format!("{round}"), "message": "", "type": "info", "priority": "low",
            });
            system.publish("ops", "notification.created", &data).await;
        }
        let heard = bo.next_json(BOUND).await;
        assert_eq!(heard["data"]["title"], format!("{round}"), "{heard}");
        let purge = ["users", "purge", "--tenant", "ops", "--user", "ada"];
        system.command(&purge).finish(BOUND).await.succeeded();
    }
    system.projector.line("going on behind the notice of a purge", BOUND).await;
    let output = system.projector.output();
    assert!(!output.contains("WARN") && !output.contains("ERROR"), "{output}");
    system.check_well();
}
