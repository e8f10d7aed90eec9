//! Users who are switched off, and tokens that are revoked.

use std::time::{SystemTime, UNIX_EPOCH};

use harness::BOUND;
use serde_json::{Value, json};

use crate::site::{Site, admin, code, is_time, open, refused, request, request_with, seconds, token_of};

#[tokio::test]
async fn a_disabled_user_is_out_on_every_gateway_until_enabled() {
    let site = Site::start().await;
    let (ada, bo) = (token_of("ada", &json!({})), token_of("bo", &json!({})));
    let [first, second] = site.addresses();
    let mut here = open(first, &ada).await;
    let mut there = open(second, &ada).await;
    let mut other = open(second, &bo).await;
    let printed = site.users("disable", "ada").await;
    assert_eq!(printed, "user \"ada\" of tenant ops is disabled; gateways close the user's connections\n");
    assert_eq!(here.close_code(BOUND).await, Some(4503));
    assert_eq!(there.close_code(BOUND).await, Some(4503));
    for address in site.addresses() {
        assert_eq!(refused(address, &ada).await, (403, "USER_DISABLED".to_owned()));
    }
    other.expect_nothing_before_pong(BOUND).await;

    // Also for a gateway that was not there, and whatever the token.
    let third = site.system.another_gateway(&[]).await;
    let fresh = token_of("ada", &json!({ "iat": now() + 20 }));
    assert_eq!(refused(&third.address, &fresh).await, (403, "USER_DISABLED".to_owned()));

    site.users("enable", "ada").await;
    for address in site.addresses() {
        let comes_in = harness::eventually("ada may come in again", BOUND, async || {
            let dial = harness::Dial::new(address).bearer(&ada);
            dial.try_open().await.map_err(|refusal| refusal.body)
        });
        comes_in.await.expect_nothing_before_pong(BOUND).await;
    }
}

#[tokio::test]
async fn tokens_are_revoked_and_fresh_ones_are_good() {
    let site = Site::start().await;
    let [first, second] = site.addresses();
    let old = token_of("ada", &json!({ "iat": now() - 60 }));
    let undated = token_of("ada", &json!({}));
    let mut here = open(first, &old).await;
    let mut there = open(second, &undated).await;
    let grounds = Some(json!({ "reason": "a lost phone" }));
    let (status, body) = request_with("POST", first, "users/ada/revoke", &admin(), grounds).await;
    assert_eq!(status, 200, "{body}");
    let revoked: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&revoked["revoked"]["by"], &revoked["revoked"]["reason"]),
        (&json!("root"), &json!("a lost phone"))
    );
    assert_eq!(here.close_code(BOUND).await, Some(4006));
    assert_eq!(there.close_code(BOUND).await, Some(4006));
    for (address, token) in [(first, &old), (first, &undated), (second, &old), (second, &undated)] {
        assert_eq!(refused(address, token).await, (401, "TOKEN_REVOKED".to_owned()));
    }

    // The claim is what counts, so that no second has to pass here.
    let fresh = token_of("ada", &json!({ "iat": seconds(&revoked["revoked"]["before"]) }));
    let mut back = open(second, &fresh).await;
    back.send_json(&json!({ "action": "authenticate", "token": old, "id": 1 })).await;
    let answer = back.next_json(BOUND).await;
    assert_eq!(
        (&answer["data"]["code"], &answer["data"]["original_message_id"]),
        (&json!("UNAUTHORIZED"), &json!(1))
    );
    // What it came in with still counts.
    back.expect_nothing_before_pong(BOUND).await;
    let bo = token_of("bo", &json!({}));
    open(first, &bo).await;
}

#[tokio::test]
async fn administrators_are_users_too() {
    let site = Site::start().await;
    let [first, second] = site.addresses();
    let (status, body) = request("POST", second, "users/root/revoke", &admin()).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = eventually_refused(first, &admin()).await;
    assert_eq!((status, code(&body).as_str()), (401, "TOKEN_REVOKED"));
    let fresh = token_of("root", &json!({ "scope": "tidings:admin", "iat": now() + 20 }));
    assert_eq!(request("GET", first, "users/root", &fresh).await.0, 200);
    site.users("disable", "root").await;
    let (status, body) = eventually_refused(first, &fresh).await;
    assert_eq!((status, code(&body).as_str()), (403, "USER_DISABLED"));
}

#[tokio::test]
async fn how_it_stands_with_a_user_is_told() {
    let site = Site::start().await;
    let [first, second] = site.addresses();
    let told = async |address, user: &str| {
        let (status, body) = request("GET", address, &format!("users/{user}"), &admin()).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()
    };
    // Of a user whom nobody knows, there is nothing; be it misspelled, disabling is possible and says so.
    let (status, body) = request("GET", first, "users/j.doe%20*", &admin()).await;
    assert_eq!((status, code(&body).as_str()), (404, "NOT_FOUND"));
    let (status, body) = request("POST", first, "users/nobody/disable", &admin()).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["devices"], &body["connections"]), (200, &json!([]), &json!(0)), "{body}");
    let mut here = open(second, &token_of("j.doe *", &json!({ "sid": "tablet" }))).await;
    // A fresh token, be it of another session, does not make another device of a connection.
    let fresh = token_of("j.doe *", &json!({ "sid": "another" }));
    here.send_json(&json!({ "action": "authenticate", "token": fresh })).await;
    here.expect_nothing_before_pong(BOUND).await;
    let something = json!({
        "tenant": "ops", "user": "j.doe *", "disabled": null, "revoked": null,
        "devices": ["tablet"], "connections": 1,
    });
    assert_eq!(told(first, "j.doe%20*").await, something);
    let arguments = ["users", "disable", "--tenant", "ops", "--user", "j.doe *", "--reason", "has left"];
    site.run(&arguments).await;
    let disabled = &told(second, "j.doe%20*").await["disabled"];
    assert_eq!(disabled["reason"], "has left");
    assert!(is_time(&disabled["since"]) && disabled["by"].as_str().unwrap().contains('@'), "{disabled}");
    let shown: Value = serde_json::from_str(&site.users("show", "j.doe *").await).unwrap();
    assert_eq!(&shown["disabled"], disabled);

    let longest = Some(json!({ "reason": "é".repeat(500) }));
    assert_eq!(request_with("POST", first, "users/ada/disable", &admin(), longest).await.0, 200);
    let long = Some(json!({ "reason": "x".repeat(501) }));
    let (status, body) = request_with("POST", first, "users/ada/disable", &admin(), long).await;
    assert_eq!((status, code(&body).as_str()), (400, "REASON"));
    let ada = token_of("ada", &json!({}));
    let (status, body) = request("POST", first, "users/bo/disable", &ada).await;
    assert_eq!((status, code(&body).as_str()), (403, "SCOPE_MISSING"));
}

/// Whoever wrote something else into the bucket lets nobody in.
#[tokio::test]
async fn an_entry_that_cannot_be_read_keeps_the_user_out() {
    let site = Site::start().await;
    let [first, _] = site.addresses();
    let ada = token_of("ada", &json!({}));
    let mut here = open(first, &ada).await;
    site.system.publish_raw("$KV.USERS.ops.ada", async_nats::HeaderMap::new(), "disabled, please").await;
    assert_eq!(here.close_code(BOUND).await, Some(1013));
    assert_eq!(refused(first, &ada).await, (503, "USER_UNREADABLE".to_owned()));
    // Nobody overwrites what a newer Tidings may have written.
    for verb in ["enable", "disable", "revoke", "show"] {
        let arguments = ["users", verb, "--tenant", "ops", "--user", "ada"];
        let failure = site.system.command(&arguments).finish(BOUND).await.failed();
        assert!(failure.contains("nats kv del USERS ops.ada"), "{failure}");
    }
    let bucket =
        async_nats::jetstream::new(site.system.client().clone()).get_key_value("USERS").await.unwrap();
    bucket.delete("ops.ada").await.unwrap();
    harness::eventually("ada comes in", BOUND, async || {
        harness::Dial::new(first).bearer(&ada).try_open().await.map_err(|refusal| refusal.body)
    })
    .await;
}

async fn eventually_refused(address: &str, token: &str) -> (u16, String) {
    harness::eventually("the administrator is refused", BOUND, async || {
        match request("GET", address, "users/ada", token).await {
            refused @ (401 | 403, _) => Ok(refused),
            (_, body) => Err(body),
        }
    })
    .await
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
