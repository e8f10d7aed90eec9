//! What is a WebSocket handshake and what is not, down to the bytes (RFC 6455, section 4.2.1; RFC 9112).

use harness::{BOUND, SECRET, System, token};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::raw::{HOME, closed, narrow, refusal, request, send, status};

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused() {
    let mut system = System::start().await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let good = request(&ada);
    let with = |line: &str| good.replacen("\r\n", &format!("\r\n{line}\r\n"), 1);
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (what, request, expected) in [
        ("HTTP/1.0", changed("HTTP/1.1", "HTTP/1.0"), (426, "HTTP_VERSION")),
        ("nginx as it comes", changed("HTTP/1.1", "HTTP/1.0").replace("Upgrade", "X"), (426, "HTTP_VERSION")),
        ("no Host", changed("Host: gateway\r\n", ""), (400, "HOST")),
        ("an empty Host", changed("Host: gateway", "Host: "), (400, "HOST")),
        ("a Host that is none", changed("Host: gateway", "Host: a b"), (400, "HOST")),
        ("another Host than the target's", changed("/api/ws", "http://other/api/ws"), (400, "HOST")),
        ("two Hosts", with("Host: other"), (400, "HEADER_REPEATED")),
        ("the same Host twice", with("Host: gateway"), (400, "HEADER_REPEATED")),
        ("two keys", with("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), (400, "HEADER_REPEATED")),
        ("the same key twice", with(key.trim_end()), (400, "HEADER_REPEATED")),
        ("no key", changed(key, ""), (400, "WEBSOCKET_KEY")),
        (
            "a key of 15 bytes",
            changed("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"),
            (400, "WEBSOCKET_KEY"),
        ),
        ("a key of 17 bytes", changed("ZQ==", "ZWU="), (400, "WEBSOCKET_KEY")),
        ("a key that is not base64", changed("dGhl", "dG.l"), (400, "WEBSOCKET_KEY")),
        ("two versions", with("Sec-WebSocket-Version: 13"), (400, "HEADER_REPEATED")),
        ("a list of versions", changed("Version: 13", "Version: 13, 8"), (426, "WEBSOCKET_VERSION")),
        ("no version", changed("Sec-WebSocket-Version: 13\r\n", ""), (426, "WEBSOCKET_VERSION")),
        ("an old version", changed("Version: 13", "Version: 8"), (426, "WEBSOCKET_VERSION")),
        ("a body", with("Content-Length: 5") + "hello", (400, "BODY_UNEXPECTED")),
        ("a body in chunks", with("Transfer-Encoding: chunked") + "0\r\n\r\n", (400, "BODY_UNEXPECTED")),
        ("no Connection", changed("Connection: Upgrade\r\n", ""), (426, "UPGRADE_REQUIRED")),
        (
            "another Connection",
            changed("Connection: Upgrade", "Connection: close"),
            (426, "UPGRADE_REQUIRED"),
        ),
        ("no Upgrade", changed("Upgrade: websocket\r\n", ""), (426, "UPGRADE_REQUIRED")),
        ("another Upgrade", changed("Upgrade: websocket", "Upgrade: h2c"), (426, "UPGRADE_REQUIRED")),
        ("another method", changed("GET", "POST"), (405, "METHOD_NOT_ALLOWED")),
        ("another path", changed("/api/ws", "/api/ws/x"), (404, "NOT_FOUND")),
        ("two devices", changed("/api/ws", "/api/ws?device=a&device=b"), (400, "PARAMETER_REPEATED")),
        ("two lengths", with("Content-Length: 0\r\nContent-Length: 5"), (400, "REQUEST_MALFORMED")),
        (
            "a length and chunks",
            with("Content-Length: 5\r\nTransfer-Encoding: chunked"),
            (400, "BODY_UNEXPECTED"),
        ),
    ] {
        let mut stream = send(&system, HOME, request.as_bytes()).await;
        let (status, head, code) = refusal(&mut stream).await;
        assert_eq!((status, code.as_str()), expected, "{what}");
        assert!(head.contains("cache-control: no-store"), "{what}: {head}");
        match status {
            426 => {
                assert!(head.contains("sec-websocket-version: 13"), "{what}: {head}");
                assert!(head.contains("upgrade: websocket"), "{what}: {head}");
            }
            405 => assert!(head.contains("allow: get"), "{what}: {head}"),
            _ => {}
        }
    }
    for (what, request) in [
        ("as it should be", good.clone()),
        ("with a slash", changed("/api/ws", "/api/ws/")),
        ("without a body, in words", with("Content-Length: 0")),
        ("lists", changed("Connection: Upgrade", "Connection: keep-alive, upgrade")),
        ("capitals", changed("Upgrade: websocket", "Upgrade: WebSocket")),
        ("with its host in the target", changed("/api/ws", "http://gateway/api/ws")),
        ("with parameters of somebody else", changed("/api/ws", "/api/ws?utm=x&utm=y")),
    ] {
        let mut stream = send(&system, HOME, request.as_bytes()).await;
        assert_eq!(status(&mut stream).await, Some(101), "{what}");
    }
    system.check_well();
}

/// A balancer that looks whether somebody is there.
#[tokio::test]
async fn health_is_told_without_a_host_in_http_1_0_alone() {
    let system = System::start().await;
    for (request, expected) in [
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n", 200),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ] {
        let mut stream = send(&system, HOME, request.as_bytes()).await;
        assert_eq!(status(&mut stream).await, Some(expected), "{request:?}");
    }
}

/// What a browser sends for `new WebSocket(url, ["bearer." + token])`; it fails unless one of those offered is chosen.
#[tokio::test]
async fn a_subprotocol_that_was_offered_is_chosen() {
    let system = System::start().await;
    let ada = format!("bearer.{}", token(SECRET, json!({ "tenant": "ops", "sub": "ada" })));
    for (offered, chosen) in [
        (ada.clone(), Some(ada.as_str())),
        (format!("{ada}, tidings.v1"), Some("tidings.v1")),
        (format!("tidings.v1, {ada}"), Some("tidings.v1")),
        (format!("something.else, {ada}"), Some(ada.as_str())),
    ] {
        let client = system.dial().subprotocol(&offered).open().await;
        assert_eq!(client.subprotocol(), chosen, "{offered}");
    }
}

/// A client that never reads its answers, and one that reads a little now and then, are disconnected.
#[tokio::test]
async fn whoever_does_not_take_an_answer_is_sent_away() {
    let setup = harness::Setup::default().variable("TIDINGS_GATEWAY__RESPONSE_TIMEOUT", "1s");
    let mut system = setup.start().await;
    // Each answer is one of many, in more than a system holds between two sockets.
    let requests = "GET /nowhere HTTP/1.1\r\nHost: gateway\r\n\r\n".repeat(200);
    let (mut never, mut slowly) = (narrow(&system).await, narrow(&system).await);
    let asking = async {
        // Ends when the gateway has closed the connection; until then it takes no more at some time.
        while never.write_all(requests.as_bytes()).await.is_ok() {}
    };
    tokio::time::timeout(BOUND, asking).await.expect("the gateway ends a connection that is never read");
    let (mut reading, mut writing) = slowly.split();
    let reading = async {
        let mut drops = tokio::time::interval(std::time::Duration::from_millis(20));
        while tokio::io::AsyncReadExt::read(&mut reading, &mut [0; 16]).await.is_ok_and(|read| read > 0) {
            drops.tick().await;
        }
    };
    let asking = async { while writing.write_all(requests.as_bytes()).await.is_ok() {} };
    let both = async { tokio::join!(reading, asking) };
    tokio::time::timeout(BOUND, both).await.expect("the gateway ends a connection that is hardly read");
    let mut brisk =
        send(&system, HOME, b"GET /healthz HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&mut brisk).await, Some(200));
    closed(&mut brisk).await;
    system.check_well();
}
