//! The audit log: who was refused and what administrators did, and no token.

use harness::{BOUND, Dial, SECRET, Setup, eventually, token};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::site::{Site, admin, open, refused, request, request_with, token_of};

/// Everything, so that a token in any line shows.
fn talkative() -> Setup {
    let setup = Setup::default().variable("TIDINGS_TELEMETRY__LOG", "debug,hyper=trace");
    setup.variable("TIDINGS_TELEMETRY__LOG_FORMAT", "json")
}

fn audited(output: &str) -> Vec<Value> {
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "audit").collect()
}

#[tokio::test]
async fn what_is_done_and_refused_is_written_and_no_token_is() {
    let site = Site::with(talkative()).await;
    let address = site.system.address();
    let (ada, root) = (token_of("ada", &json!({})), admin());
    let expired = token_of("ada", &json!({ "exp": 1 }));
    let forged = token("another-secret-of-at-least-32-bytes-", json!({ "tenant": "ops", "sub": "ada" }));
    let mut client = open(address, &ada).await;

    refused(address, &expired).await;
    Dial::new(address).query("token", &forged).refused().await;
    Dial::new(address).subprotocol(&format!("bearer.{ada}")).open().await.close().await;
    client.send_json(&json!({ "action": "authenticate", "token": expired })).await;
    client.next_json(BOUND).await;
    request("GET", address, "consumers", &ada).await;
    let grounds = Some(json!({ "reason": "a \"quoted\"\nreason" }));
    request_with("POST", address, "users/ada/disable", &root, grounds).await;
    client.close_code(BOUND).await;
    refused(address, &ada).await;
    request("POST", address, "users/ada/enable", &root).await;
    request("POST", address, "users/ada/revoke", &root).await;
    let body = Some(json!({ "to": "all" }));
    request_with("POST", address, "consumers/ada/default/reset", &root, body).await;
    request("DELETE", address, "consumers/ada/default", &root).await;
    request("DELETE", address, "users/ada", &root).await;
    let _bo = open(&site.second.address, &token_of("bo", &json!({}))).await;
    request("DELETE", address, "connections?user=bo", &root).await;

    let output = site.system.gateway.output();
    let lines = audited(&output);
    let find = |expected: Value| {
        let expected = expected.as_object().unwrap().clone();
        let found = lines.iter().any(|line| expected.iter().all(|(name, value)| line[name] == *value));
        assert!(found, "no {} in {}", json!(expected), json!(lines));
    };
    let refusal = |what, status, code| json!({ "message": "refused", "what": what, "status": status, "code": code, "from": "127.0.0.1" });
    find(refusal("handshake", 401, "TOKEN_EXPIRED"));
    find(refusal("handshake", 401, "TOKEN_SIGNATURE"));
    find(refusal("authenticate", 401, "TOKEN_EXPIRED"));
    find(json!({ "what": "administration", "code": "SCOPE_MISSING", "who": "ops/ada" }));
    find(json!({ "what": "handshake", "status": 403, "code": "USER_DISABLED", "who": "ops/ada" }));
    for (what, to) in [
        ("enable", "ops/ada"),
        ("revoke", "ops/ada"),
        ("reset", "ops/ada/default"),
        ("remove", "ops/ada/default"),
        ("purge", "ops/ada"),
        ("close", "bo"),
    ] {
        find(json!({ "what": what, "to": to, "who": "ops/root", "from": "127.0.0.1" }));
    }
    let why = "a \"quoted\"\nreason";
    find(json!({ "what": "disable", "to": "ops/ada", "who": "ops/root", "why": why }));
    find(json!({ "what": "close", "user": "ops/ada/default", "by": "root", "why": why }));
    // The other gateway says so itself.
    eventually("the connection's end is written", BOUND, async || {
        let output = site.second.process.output();
        let closed = audited(&output).into_iter().any(|line| line["what"] == "close" && line["by"] == "root");
        if closed { Ok(()) } else { Err(output) }
    })
    .await;

    for output in [output, site.second.process.output(), site.system.projector.output()] {
        for secret in [&ada, &root, &expired, &forged] {
            let (_, signature) = secret.rsplit_once('.').unwrap();
            assert!(!output.contains(signature), "a token is in the log:\n{output}");
        }
        assert!(!output.contains(SECRET), "the secret is in the log:\n{output}");
    }
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted() {
    let site = Site::with(talkative()).await;
    let address = site.system.address();
    for _ in 0..70 {
        refused(address, "no-token").await;
    }
    site.users("disable", "ada").await;
    let process = site.system.gateway;
    process.signal(Signal::TERM);
    let (status, output) = process.end(BOUND).await;
    assert!(status.success(), "{output}");
    let lines = audited(&output);
    assert_eq!(lines.iter().filter(|line| line["message"] == "refused").count(), 60, "{}", json!(lines));
    let left_out = lines.iter().find(|line| line["message"] == "refusals that were not written");
    let left_out = left_out.unwrap_or_else(|| panic!("nothing says what was left out: {}", json!(lines)));
    assert_eq!((&left_out["refusals"], &left_out["from"]), (&json!(10), &json!("127.0.0.1")));
}
