//! Requests that are larger than any client needs.

use harness::{BOUND, SECRET, Setup, System, token};
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::raw::{HOME, refusal, request, send, status};

#[tokio::test]
async fn huge_requests_are_refused_in_words() {
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__MAX_HEADER_BYTES", "12 KiB")
        .variable("TIDINGS_GATEWAY__MAX_HEADERS", "20");
    let mut system = setup.start().await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let with = |lines: String| request(&ada).replacen("\r\n", &format!("\r\n{lines}"), 1);
    let large = (431, "HEADERS_TOO_LARGE");
    // As the gateway counts: with one space after the colon, which is all there is here.
    let rest = with("X: \r\n".to_owned()).len() - 2;
    for (what, request, expected) in [
        ("one byte too many", with(format!("X: {}\r\n", "x".repeat(12 * 1024 + 1 - rest))), large),
        ("one huge header", with(format!("X-Huge: {}\r\n", "x".repeat(40_000))), large),
        ("one header too many", with("X: x\r\n".repeat(15)), large),
        ("many headers", with("X: x\r\n".repeat(100)), large),
        ("a huge path", format!("GET /{} HTTP/1.1\r\nHost: gateway\r\n\r\n", "x".repeat(40_000)), large),
        ("no HTTP", "HELO gateway\r\n\r\n".to_owned(), (400, "REQUEST_MALFORMED")),
        ("a header without a name", with(": x\r\n".to_owned()), (400, "REQUEST_MALFORMED")),
        ("a control character", with("X: \u{1}\r\n".to_owned()), (400, "REQUEST_MALFORMED")),
    ] {
        let mut stream = send(&system, HOME, request.as_bytes()).await;
        let (status, _, code) = refusal(&mut stream).await;
        assert_eq!((status, code.as_str()), expected, "{what}");
    }
    for (what, request) in [
        ("as many bytes as there may be", with(format!("X: {}\r\n", "x".repeat(12 * 1024 - rest)))),
        ("as many headers as there may be", with("X: x\r\n".repeat(14))),
    ] {
        let mut stream = send(&system, HOME, request.as_bytes()).await;
        assert_eq!(status(&mut stream).await, Some(101), "{what}");
    }
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
        assert_eq!((refusal.status, &body["code"]), (401, &json!("TOKEN_TOO_LONG")), "{body}");
        assert!(refusal.body.len() < 300, "an answer does not repeat what is too long");
    }
    system.open(json!({ "tenant": "ops", "sub": "ada" })).await.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}
