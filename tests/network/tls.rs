//! Clients that speak TLS, and some that only pretend to.

use std::net::SocketAddr;

use harness::{BOUND, Client, Launch, SECRET, System, Transport, token};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::certificate::{Mount, Pair};

/// Where the gateway listens.
pub(crate) fn address(system: &System) -> SocketAddr {
    system.address().strip_prefix("http://").unwrap().parse().unwrap()
}

/// A user of the tenant `lab`, by this road, on a device of this name.
pub(crate) async fn open(system: &System, road: &Transport, user: &str, device: &str) -> Client {
    let token = token(SECRET, json!({ "tenant": "lab", "sub": user }));
    let dial = harness::Dial::new(system.address()).query("device", device);
    let mut client = dial.bearer(&token).by(road).open().await;
    client.expect_nothing_before_pong(BOUND).await;
    client
}

pub(crate) async fn note(system: &System, user: &str, n: u64, padding: &str) {
    let note = json!({ "user": user, "n": n, "padding": padding });
    system.publish("lab", "note.sent", &note).await;
}

/// The answer to a request, whole.
async fn request(system: &System, road: &Transport, head: &str) -> std::io::Result<String> {
    let exchange = async {
        let mut stream = road.open(address(system)).await?;
        stream
            .write_all(format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
            .await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    timeout(BOUND, exchange).await.expect("the gateway answers")
}

#[tokio::test]
async fn a_conversation_over_tls() {
    let pair = Pair::new();
    let mount = Mount::new(&pair);
    let mut system = mount.setup().start().await;
    for (road, user) in
        [(Transport::tls(&pair.certificate), "ada"), (Transport::tls12(&pair.certificate), "bo")]
    {
        let mut client = open(&system, &road, user, "d").await;
        client.send_json(&json!({ "action": "subscribe", "topics": ["news"], "id": "s1" })).await;
        assert_eq!(client.next_json(BOUND).await["action"], "subscribed");
        client.send_json(&json!({ "action": "dance", "id": "d1" })).await;
        assert_eq!(client.next_json(BOUND).await["data"]["original_message_id"], "d1");
        note(&system, user, 1, "").await;
        assert_eq!(client.next_json(BOUND).await["n"], 1);
        system.publish("lab", "news.broken", &json!({ "n": 2 })).await;
        assert_eq!(client.next_json(BOUND).await["n"], 2);
        // Longer than one TLS record, in both directions.
        note(&system, user, 3, &"x".repeat(100_000)).await;
        assert_eq!(client.next_json(BOUND).await["padding"].as_str().unwrap().len(), 100_000);
        client.send_json(&json!({ "action": "x".repeat(100_000) })).await;
        assert_eq!(client.next_json(BOUND).await["data"]["code"], "MESSAGE_TOO_LARGE");
        client.send_json(&json!({ "action": "dance", "id": "d2" })).await;
        assert_eq!(client.next_json(BOUND).await["data"]["original_message_id"], "d2");
    }
    system.check_well();
}

/// A whole farewell: the Close is answered, and the end of TLS is told, too, without which it would be an
/// error.
#[tokio::test]
async fn a_goodbye_over_tls() {
    let pair = Pair::new();
    let mount = Mount::new(&pair);
    let system = mount.setup().start().await;
    let mut stream = Transport::tls(&pair.certificate).open(address(&system)).await.unwrap();
    let token = token(SECRET, json!({ "tenant": "lab", "sub": "ada" }));
    // The Close is sent right behind the request: what was read too early is not lost.
    let head = format!(
        "GET /api/ws?token={token} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let close = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8];
    stream.write_all(&[head.as_bytes(), &close].concat()).await.unwrap();
    let mut answer = Vec::new();
    timeout(BOUND, stream.read_to_end(&mut answer)).await.expect("the connection ends").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    assert!(answer.ends_with(&[0x88, 0x02, 0x03, 0xE8]), "{answer:?}");
}

#[tokio::test]
async fn http_over_tls() {
    let pair = Pair::new();
    let mount = Mount::new(&pair);
    let system = mount.setup().start().await;
    let road = Transport::tls(&pair.certificate);
    let answer = request(&system, &road, "GET /healthz HTTP/1.1").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{answer}");
    let admin = token(SECRET, json!({ "tenant": "lab", "sub": "op", "scope": "tidings:admin" }));
    let head = format!("GET /api/v1/consumers HTTP/1.1\r\nAuthorization: Bearer {admin}");
    assert!(request(&system, &road, &head).await.unwrap().starts_with("HTTP/1.1 200 "));

    let both = road.clone().protocol("h2").protocol("http/1.1");
    assert!(request(&system, &both, "GET /healthz HTTP/1.1").await.unwrap().ends_with("ok\n"));
    let refused = road.protocol("h2").open(address(&system)).await.unwrap_err().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
}

#[tokio::test]
async fn the_command_listens_over_tls() {
    let pair = Pair::new();
    let mount = Mount::new(&pair);
    let system = mount.setup().start().await;
    let token = token(SECRET, json!({ "tenant": "lab", "sub": "ada" }));
    let listen = |arguments: &[&str]| {
        let listen = Launch::tidings([&["listen", "--count", "1"], arguments].concat());
        let variables = mount.variables();
        listen
            .folder(mount.folder())
            .variables(variables.iter().map(|(name, value)| (*name, value.as_str())))
            .variable("TIDINGS_GATEWAY__LISTEN", address(&system).to_string())
            .variable("TIDINGS_TOKEN", &token)
    };
    let mut listener = listen(&["--ca", "tls.crt"]).start();
    let said = listener.line("listening at", BOUND).await;
    assert!(said.contains(&format!("wss://localhost:{}/api/ws", address(&system).port())), "{said}");
    note(&system, "ada", 1, "").await;
    listener.line("\"n\":1", BOUND).await;
    assert!(listener.end(BOUND).await.0.success());

    std::fs::write(mount.folder().join("other.crt"), Pair::new().certificate).unwrap();
    let stranger = listen(&["--ca", "other.crt"]).finish(BOUND).await.failed();
    assert!(stranger.contains("certificate") && stranger.contains("--ca"), "{stranger}");
    let untrusted = listen(&[]).variable("SSL_CERT_FILE", mount.folder().join("other.crt"));
    assert!(untrusted.finish(BOUND).await.failed().contains("--ca"));
    let empty = listen(&["--ca", "tls.key"]).finish(BOUND).await.failed();
    assert!(empty.contains("tls.key has no certificate"), "{empty}");
    let plain = listen(&["--ca", "tls.crt", "--url", "ws://localhost/api/ws"]).finish(BOUND).await.failed();
    assert!(plain.contains("wss://"), "{plain}");
}

#[tokio::test]
async fn whoever_does_not_speak_tls_disturbs_nobody() {
    let pair = Pair::new();
    let mount = Mount::new(&pair);
    let mut system = mount.setup().variable("TIDINGS_GATEWAY__HANDSHAKE_TIMEOUT", "1s").start().await;
    let road = Transport::tls(&pair.certificate);
    let mut client = open(&system, &road, "ada", "d").await;

    // Plain HTTP gets an alert and no answer.
    if let Ok(answer) = request(&system, &Transport::default(), "GET /healthz HTTP/1.1").await {
        assert!(!answer.contains("HTTP"), "{answer}");
    }
    // One that says nothing, one that begins and goes no further, one whose handshake is done and that goes
    // no further.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC];
    for road in [Transport::default(), Transport::default().preface(&hello), road] {
        let mut stream = road.open(address(&system)).await.unwrap();
        let mut rest = Vec::new();
        // Ends, be it with an error.
        let _ = timeout(BOUND, stream.read_to_end(&mut rest)).await.expect("the gateway's patience ends");
    }
    note(&system, "ada", 1, "").await;
    let heard: Value = client.next_json(BOUND).await;
    assert_eq!(heard["n"], 1);
    system.check_well();
}
