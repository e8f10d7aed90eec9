//! A connection grows only so old, and its client hears of it beforehand.

use harness::{BOUND, SECRET, Setup, token};
use serde_json::json;

#[tokio::test]
async fn a_connection_that_has_reached_its_age_is_made_anew() {
    let setup = Setup::default().variable("TIDINGS_GATEWAY__MAX_CONNECTION_AGE", "2s");
    let mut system = setup.start().await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let mut sequenced = system.dial().bearer(&ada).subprotocol("tidings.v1").open().await;
    let mut plain = system.dial().bearer(&ada).open().await;

    let told = sequenced.until(BOUND, |message| message["action"] == "draining").await;
    let notice = told.last().unwrap()["reconnect_in_ms"].as_u64().unwrap();
    assert!(notice <= 200, "a tenth of the age: {told:?}");
    // Time enough for the next connection, before this one ends.
    let mut next = system.dial().bearer(&ada).subprotocol("tidings.v1").open().await;
    assert_eq!(next.next_json(BOUND).await["action"], "welcome");
    for client in [&mut sequenced, &mut plain] {
        assert_eq!(client.close_code(BOUND).await, Some(4003));
    }
    system.check_well();
}
