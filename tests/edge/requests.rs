//! Requests that are larger than any client needs.

use harness::{BOUND, SECRET, System, token};
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::raw::{HOME, request, send, status};

#[tokio::test]
async fn huge_requests_are_refused_in_words() {
    let mut system = System::start().await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let with = |lines: String| request(&ada).replacen("\r\n", &format!("\r\n{lines}"), 1);
    for (what, request, expected) in [
        ("one huge header", with(format!("X-Huge: {}\r\n", "x".repeat(20_000))), 431),
        ("many headers", with("X: x\r\n".repeat(100)), 431),
        ("a huge path", format!("GET /{} HTTP/1.1\r\nHost: gateway\r\n\r\n", "x".repeat(20_000)), 431),
        ("no HTTP", "HELO gateway\r\n\r\n".to_owned(), 400),
        ("a header without a name", with(": x\r\n".to_owned()), 400),
        ("a control character", with("X: \u{1}\r\n".to_owned()), 400),
    ] {
        let mut stream = send(&system, HOME, request.as_bytes()).await;
        assert_eq!(status(&mut stream).await, Some(expected), "{what}");
    }
    let mut stream = send(&system, HOME, request(&ada).as_bytes()).await;
    assert_eq!(status(&mut stream).await, Some(101));
    system.check_well();
}

#[tokio::test]
async fn huge_tokens_are_refused_in_words() {
    let mut system = System::start().await;
    let long = "x".repeat(9_000);
    let cookie = HeaderValue::from_str(&format!("session={long}")).unwrap();
    let name = HeaderName::from_static("cookie");
    for dial in [
        system.dial().bearer(&long),
        system.dial().query("token", &long),
        system.dial().header(name, cookie.to_str().unwrap()).origin(system.address()),
    ] {
        let refusal = dial.refused().await;
        let body: Value = serde_json::from_str(&refusal.body).unwrap();
        assert_eq!((refusal.status, &body["error"]["code"]), (401, &json!("TOKEN_TOO_LONG")), "{body}");
        assert!(refusal.body.len() < 300, "an answer does not repeat what is too long");
    }
    system.open(json!({ "tenant": "ops", "sub": "ada" })).await.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}
