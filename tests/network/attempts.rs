//! How often an address and a user may try to get in.

use std::net::Ipv4Addr;

use harness::{BOUND, SECRET, Setup, System, eventually, token};
use serde_json::json;

use crate::raw::{HOME, check_too_many, honour, request, send, status};

fn signed(user: &str) -> String {
    token(SECRET, json!({ "tenant": "ops", "sub": user }))
}

/// Tries with a bad token until that is too often.
async fn exhaust(system: &System) -> harness::Refusal {
    for _ in 0..20 {
        let refusal =
            system.dial().bearer(&token("no-secret-of-this-gateway-at-all-", json!({}))).refused().await;
        if refusal.status != 401 {
            return refusal;
        }
    }
    panic!("20 bad tokens are all looked at");
}

#[tokio::test]
async fn an_address_is_refused_before_its_token_is_looked_at() {
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__ATTEMPTS_PER_MINUTE_PER_ADDRESS", "20")
        .variable("TIDINGS_GATEWAY__ATTEMPT_BURST_PER_ADDRESS", "4");
    let mut system = setup.start().await;
    let mut online = system.open(json!({ "tenant": "ops", "sub": "online" })).await;
    check_too_many(&exhaust(&system).await, "TOO_MANY_ATTEMPTS");

    let administration = "GET /api/v1/consumers HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer x\r\n\r\n";
    let mut administrator = send(&system, HOME, administration.as_bytes()).await;
    assert_eq!(status(&mut administrator).await, Some(429), "the same for every token");
    let mut health = send(&system, HOME, b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n").await;
    assert_eq!(status(&mut health).await, Some(200), "no token, no limit");
    let mut elsewhere = send(&system, Ipv4Addr::new(127, 0, 0, 2), request(&signed("bo")).as_bytes()).await;
    assert_eq!(status(&mut elsewhere).await, Some(101), "another address is not concerned");
    online.expect_nothing_before_pong(BOUND).await;

    // Whoever waits as long as told gets in.
    let refusal = exhaust(&system).await;
    honour(&refusal, "TOO_MANY_ATTEMPTS").await;
    system.dial().bearer(&signed("ada")).open().await;
    system.check_well();
}

#[tokio::test]
async fn a_user_is_refused_wherever_they_come_from() {
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__ATTEMPTS_PER_MINUTE_PER_USER", "20")
        .variable("TIDINGS_GATEWAY__ATTEMPT_BURST_PER_USER", "3");
    let mut system = setup.start().await;
    let ada = request(&signed("ada"));
    eventually("too many attempts", BOUND, async || {
        let mut stream = send(&system, Ipv4Addr::new(127, 0, 0, 2), ada.as_bytes()).await;
        match status(&mut stream).await {
            Some(429) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    system.open(json!({ "tenant": "ops", "sub": "bo" })).await;
    let refusal = system.dial().bearer(&signed("ada")).refused().await;
    honour(&refusal, "TOO_MANY_ATTEMPTS").await;
    system.dial().bearer(&signed("ada")).open().await;
    system.check_well();
}
