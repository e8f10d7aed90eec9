//! Requests for a WebSocket that are none, with a good token.

use serde_json::json;

use crate::scene::{Outcome, Scene, token_of};
use crate::wire::{Wire, upgrade};

/// None of them is upgraded.
pub(crate) async fn attack(scene: &mut Scene) -> Outcome {
    let mut outcome = Outcome::of("a request for a WebSocket breaks HTTP or RFC 6455");
    let token = token_of("ops", "ada", &json!({}));
    let good = upgrade(&token);
    let mut requests = designed(&good);
    for _ in 0..scene.attempts {
        let mut bytes = scene.bytes(300);
        if scene.random.bool() {
            // A good request whose first line is torn up.
            let at = scene.random.usize(..20);
            bytes.truncate(8);
            bytes.push(0);
            let mut torn = good.clone().into_bytes();
            torn.splice(at..at, bytes);
            bytes = torn;
        }
        requests.push(bytes);
    }
    for request in requests {
        let mut wire = Wire::connect(&scene.system).await;
        wire.send(&request).await;
        // What waits for more is closed after the time for a handshake.
        let status = wire.status().await;
        let shown = String::from_utf8_lossy(&request[..request.len().min(120)]).into_owned();
        outcome.count((status == Some(101)).then(|| format!("upgraded: {shown:?}")));
    }
    scene.check().await;
    outcome
}

fn designed(good: &str) -> Vec<Vec<u8>> {
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1).into_bytes()
    };
    let added = |header: &str| changed("Host: gateway\r\n", &format!("Host: gateway\r\n{header}\r\n"));
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut requests = vec![
        changed("HTTP/1.1", "HTTP/1.0"),
        changed("HTTP/1.1", "HTTP/2.0"),
        changed("GET", "POST"),
        changed("GET", "get"),
        changed("/api/ws", "/api/ws/../ws/x"),
        changed("/api/ws", "//api//ws"),
        changed("Host: gateway\r\n", ""),
        added("Host: other"),
        added("Content-Length: 5"),
        added("Transfer-Encoding: chunked"),
        added("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        added("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
        added("Sec-WebSocket-Version: 8"),
        changed(key, ""),
        changed(key, "Sec-WebSocket-Key: short\r\n"),
        changed(key, "Sec-WebSocket-Key: \r\n"),
        changed("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 12"),
        changed("Sec-WebSocket-Version: 13\r\n", ""),
        changed("Upgrade: websocket\r\n", ""),
        changed("Upgrade: websocket", "Upgrade: h2c"),
        changed("Connection: Upgrade", "Connection: close"),
        added("X\0: y"),
        added(" X: y"),
        added("no colon"),
        added(&format!("X: {}", "y".repeat(100_000))),
    ];
    requests.push(added(&"X: y\r\n".repeat(500)[..6 * 500 - 2]));
    requests
}
