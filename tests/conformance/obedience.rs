//! A connection that is being closed obeys nothing but its Close, and its socket is gone soon, whatever its client goes on
//! sending: for every reason to close one.

use std::time::{SystemTime, UNIX_EPOCH};

use async_nats::jetstream;
use harness::{BOUND, Setup, System, eventually};
use serde_json::{Value, json};

use crate::raw::{BINARY, CLOSE, FINAL, PING, PONG, Raw, TEXT, frame, text};

/// A shelter's operator, who may publish how it stands.
fn operator(user: &str, exp: u64) -> Value {
    json!({ "tenant": "shelter", "sub": user, "role": "shelter_operator", "shelterId": "s9", "exp": exp })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Everything that a client can send but a Close, many times.
fn flood() -> Vec<u8> {
    let data = json!({ "shelterId": "s9", "status": "open", "capacity": 120, "occupancy": 7 });
    let all = [
        text(&json!({ "action": "shelter_update", "data": data })),
        text(&json!({ "action": "subscribe", "topics": ["anything"] })),
        text(&json!({ "action": "authenticate", "token": "a.b.c" })),
        text(&json!({ "action": "ping" })),
        text(&json!({ "action": "ack", "seq": 1 })),
        frame(FINAL | PING, b"1"),
        frame(FINAL | PONG, b"1"),
        frame(FINAL | BINARY, b"1"),
        frame(TEXT, b""),
        frame(FINAL, b"}{"),
    ];
    all.concat().repeat(20)
}

/// Reads up to the Close, then sends without end and never answers it.
async fn goes_on(raw: &mut Raw, code: u16) {
    let closed = loop {
        match raw.next().await {
            Some((first, payload)) if first == FINAL | CLOSE => break payload,
            Some(_) => {}
            None => panic!("ended without a Close"),
        }
    };
    assert_eq!(u16::from_be_bytes([closed[0], closed[1]]), code);
    until_gone(raw, &flood()).await;
}

/// Sends these bytes again and again until nobody is there to take them.
async fn until_gone(raw: &mut Raw, bytes: &[u8]) {
    eventually("the socket is gone", BOUND, async || match raw.try_send(bytes).await {
        Ok(()) => Err("it takes what is sent"),
        Err(_) => Ok(()),
    })
    .await;
}

/// Events that the tenant's clients have stored.
async fn stored(client: &async_nats::Client) -> u64 {
    let stream = jetstream::new(client.clone()).get_stream("EVENTS").await.unwrap();
    stream.cached_info().state.messages
}

async fn users(system: &System, verb: &str, user: &str) {
    system.command(&["users", verb, "--tenant", "shelter", "--user", user]).finish(BOUND).await.succeeded();
}

#[tokio::test]
async fn of_whom_is_being_closed_nothing_counts() {
    // Neither a heartbeat nor silence ends anything here.
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__HEARTBEAT", "1h")
        .variable("TIDINGS_GATEWAY__IDLE_TIMEOUT", "2h")
        .variable("TIDINGS_ACCESS__LEEWAY", "1s")
        .variable("TIDINGS_GATEWAY__DRAIN_TIME", "2s")
        .file("[gateway.tenants.cnc]\nmessages_per_minute = 1\nmessage_burst = 2\n");
    let system = setup.start().await;
    let client = system.client().clone();
    let open = async |user: &str, exp: u64| {
        let mut raw = Raw::open_as(&system, operator(user, exp), "").await;
        raw.send(&text(&json!({ "action": "ping" }))).await;
        raw.expect_answer().await;
        raw
    };
    let hour = now() + 3600;

    let mut disabled = open("disabled", hour).await;
    users(&system, "disable", "disabled").await;
    goes_on(&mut disabled, 4503).await;

    let mut revoked = open("revoked", hour).await;
    users(&system, "revoke", "revoked").await;
    goes_on(&mut revoked, 4006).await;

    let mut closed = open("closed", hour).await;
    let close = ["connections", "close", "--tenant", "shelter", "--user", "closed"];
    system.command(&close).finish(BOUND).await.succeeded();
    goes_on(&mut closed, 4007).await;

    let mut expired = open("expired", now() + 2).await;
    goes_on(&mut expired, 4001).await;

    let mut broken = open("broken", hour).await;
    broken.send(&[FINAL | TEXT, 2, b'{', b'}']).await;
    goes_on(&mut broken, 1002).await;

    let mut fast = Raw::open_as(&system, json!({ "tenant": "cnc", "sub": "fast" }), "").await;
    fast.send(&text(&json!({ "action": "ping" })).repeat(10)).await;
    goes_on(&mut fast, 4002).await;

    assert_eq!(stored(&client).await, 0, "nothing of it is stored");

    // While the gateway ends, a connection may acknowledge what it was given, and no more.
    let mut drained = open("drained", hour).await;
    system.gateway.interrupt();
    goes_on(&mut drained, 1001).await;
    let (status, output) = system.gateway.end(BOUND).await;
    assert!(status.success() && !output.contains("panicked"), "{output}");
    assert_eq!(stored(&client).await, 0, "nothing of it is stored");
}

/// The deadline is the gateway's own: a client that leaves a frame unfinished, or sends one byte at a time, does not move it.
#[tokio::test]
async fn the_end_is_not_put_off() {
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__HEARTBEAT", "1h")
        .variable("TIDINGS_GATEWAY__IDLE_TIMEOUT", "2h");
    let mut system = setup.start().await;
    let close = frame(FINAL | CLOSE, b"\x03\xE8bye");
    for unfinished in [&close[..3], &frame(FINAL | TEXT, &[b' '; 9000])[..100], &[]] {
        let mut raw = Raw::open_as(&system, json!({ "tenant": "ops", "sub": "slow" }), "").await;
        raw.send(&[FINAL | TEXT, 2, b'{', b'}']).await;
        raw.send(unfinished).await;
        raw.next_but_pings().await.unwrap();
        until_gone(&mut raw, b" ").await;
    }
    system.check_well();
}
