//! Connections that never become WebSockets.

use std::net::Ipv4Addr;
use std::time::Duration;

use harness::{BOUND, SECRET, Setup, System, eventually, token};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::raw::{HOME, closed, is_closed, request, send, status};

/// Files that the gateway has open.
fn open_files(system: &System) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", system.gateway.pid())).unwrap().count()
}

#[tokio::test]
async fn thousands_of_half_finished_handshakes_disturb_nobody() {
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__PENDING_PER_ADDRESS", "100")
        .variable("TIDINGS_GATEWAY__PENDING_CONNECTIONS", "400")
        .variable("TIDINGS_GATEWAY__HANDSHAKE_TIMEOUT", "10m");
    let mut system = setup.start().await;
    let mut online = system.open(json!({ "tenant": "ops", "sub": "online" })).await;
    // Once somebody has come in, the gateway has all files open that it needs for itself.
    let before = open_files(&system);
    let half = request(&token(SECRET, json!({ "tenant": "ops", "sub": "bad" })));
    let half = &half.as_bytes()[..half.len() - 2];

    let (mut held, mut honest): (Vec<TcpStream>, Vec<_>) = Default::default();
    for number in 0..3_000 {
        // Nine addresses: more than are needed to fill what all together may have.
        let from = Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(number % 9).unwrap());
        held.push(send(&system, from, half).await);
        if number % 60 == 59 {
            // None of them is sent away, or has to try again.
            honest.push(system.open(json!({ "tenant": "ops", "sub": format!("honest-{number}") })).await);
        }
    }
    eventually("at most 400 of them are held", BOUND, async || {
        let alive = held.iter().filter(|stream| !is_closed(stream)).count();
        let files = open_files(&system);
        // One more is being accepted, perhaps.
        let expected = alive <= 401 && files <= before + honest.len() + 410;
        if expected { Ok(()) } else { Err(format!("{alive} connections, {files} files, {before} before")) }
    })
    .await;
    online.expect_nothing_before_pong(BOUND).await;
    for client in &mut honest {
        client.expect_nothing_before_pong(BOUND).await;
    }
    drop(held);
    eventually("they leave nothing behind", BOUND, async || match open_files(&system) {
        files if files <= before + honest.len() + 10 => Ok(()),
        files => Err(files),
    })
    .await;
    system.check_well();
}

#[tokio::test]
async fn an_address_holds_so_many_and_no_more() {
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__PENDING_PER_ADDRESS", "5")
        .variable("TIDINGS_GATEWAY__HANDSHAKE_TIMEOUT", "10m");
    let mut system = setup.start().await;
    // The harness has asked the gateway nothing, so that no connection of its own counts here.
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(send(&system, HOME, b"GET /api/ws HTTP/1.1\r\n").await);
    }
    let mut sixth = send(&system, HOME, b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n").await;
    assert_eq!(status(&mut sixth).await, None);
    assert!(!held.iter().any(is_closed));
    let mut elsewhere =
        send(&system, Ipv4Addr::new(127, 0, 0, 2), b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n").await;
    assert_eq!(status(&mut elsewhere).await, Some(200));
    drop(held);
    eventually("room again", BOUND, async || {
        let mut stream = send(&system, HOME, b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n").await;
        status(&mut stream).await.filter(|status| *status == 200).ok_or("closed")
    })
    .await;
    system.check_well();
}

#[tokio::test]
async fn whoever_takes_too_long_is_sent_away() {
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__HANDSHAKE_TIMEOUT", "1s").start().await;
    let mut silent = send(&system, HOME, b"").await;
    let mut idle = send(&system, HOME, b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n").await;
    assert_eq!(status(&mut idle).await, Some(200));
    let administrator = json!({ "tenant": "ops", "sub": "root", "scope": "tidings:admin" });
    let body = format!(
        "POST /api/v1/consumers/ada/default/reset HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{{",
        token(SECRET, administrator)
    );
    let slow_head = send(&system, HOME, b"GET /api/ws HTTP/1.1\r\nX: ").await;
    let slow_body = send(&system, HOME, body.as_bytes()).await;
    tokio::join!(
        closed(&mut silent),
        closed(&mut idle),
        drip(slow_head, "the head"),
        drip(slow_body, "the body")
    );
    system.open(json!({ "tenant": "ops", "sub": "ada" })).await;
    system.check_well();
}

/// Sends a byte now and then until the gateway has had enough.
async fn drip(mut stream: TcpStream, what: &str) {
    let dripping = async {
        let mut drops = tokio::time::interval(Duration::from_millis(50));
        loop {
            drops.tick().await;
            if stream.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(BOUND, dripping).await.unwrap_or_else(|_| panic!("{what} may take for ever"));
}
