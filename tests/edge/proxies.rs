//! The PROXY header in front of a connection: required and consumed, from those who may send it.

use harness::{BOUND, Client, Dial, Road, SECRET, Setup, System, token};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::certificate::{Mount, Pair};
use crate::tls::{address, note, open};

const VERSION_1: &[u8] = b"PROXY TCP4 203.0.113.5 127.0.0.1 56324 443\r\n";
/// From 203.0.113.5, port 1, to 127.0.0.1, port 443.
const VERSION_2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0C\xCB\x00\x71\x05\x7F\x00\x00\x01\x00\x01\x01\xBB";

fn behind_proxies(setup: Setup, trusted: &str) -> Setup {
    setup
        .variable("TIDINGS_GATEWAY__PROXY_PROTOCOL", "true")
        .variable("TIDINGS_GATEWAY__TRUSTED_PROXIES", trusted)
        .variable("TIDINGS_GATEWAY__HANDSHAKE_TIMEOUT", "2s")
}

/// The gateway closes the connection and answers nothing that the client understands.
async fn check_closed(system: &System, road: &Road) {
    let Ok(mut stream) = timeout(BOUND, road.open(address(system))).await.expect("TLS begins or fails")
    else {
        return;
    };
    let mut answer = Vec::new();
    // Ends, be it with an error.
    let _ = timeout(BOUND, stream.read_to_end(&mut answer)).await.expect("the gateway closes the connection");
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn the_header_is_required_and_consumed() {
    let pair = Pair::new();
    let mount = Mount::new(&pair);
    let mut system = behind_proxies(mount.setup(), "127.0.0.0/8").start().await;
    let road = Road::tls(&pair.certificate);
    let mut clients: Vec<Client> = Vec::new();
    for (header, device) in [(VERSION_1, "v1"), (VERSION_2, "v2")] {
        clients.push(open(&system, &road.clone().preface(header), "ada", device).await);
    }
    note(&system, "ada", 1, "").await;
    for client in &mut clients {
        assert_eq!(client.next_json(BOUND).await["n"], 1);
    }
    check_closed(&system, &road).await;
    check_closed(&system, &Road::default()).await;
    check_closed(&system, &Road::default().preface(b"GET /healthz HTTP/1.1\r\n\r\n")).await;
    check_closed(&system, &Road::default().preface(&VERSION_2[..20])).await;
    system.gateway.line("did not name its client", BOUND).await;
    system.check_well();
}

#[tokio::test]
async fn the_header_goes_before_plain_http_too() {
    let system = behind_proxies(Setup::default(), "127.0.0.1").start().await;
    let token = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let dial = Dial::new(system.address()).bearer(&token);
    dial.by(&Road::default().preface(VERSION_1)).open().await.expect_nothing_before_pong(BOUND).await;
}

#[tokio::test]
async fn only_trusted_proxies_may_connect() {
    let mut system = behind_proxies(Setup::default(), "192.0.2.0/24").start().await;
    check_closed(&system, &Road::default().preface(VERSION_1)).await;
    system.gateway.line("only `gateway.trusted_proxies` may connect", BOUND).await;
    system.check_well();
}
