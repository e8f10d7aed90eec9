//! permessage-deflate (RFC 7692): what is agreed on, and that both sides keep to it.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use harness::{Setup, System};
use serde_json::{Value, json};

use crate::raw::{COMPRESSED, FINAL, PING, Raw, TEXT, frame, text};

/// What browsers offer.
pub(crate) const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// What does not travel of a flush.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// The payload of a compressed message.
pub(crate) fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::with_capacity(payload.len() + 100);
    let mut state = Compress::new(Compression::default(), false);
    state.compress_vec(payload, &mut compressed, FlushCompress::Sync).unwrap();
    compressed.strip_suffix(&TAIL).unwrap().to_vec()
}

/// What it was made of, each message by itself, with a window of 4 KiB.
fn inflated(compressed: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(1 << 20);
    let mut state = Decompress::new_with_window_bits(false, 12);
    state.decompress_vec(&[compressed, &TAIL].concat(), &mut payload, FlushDecompress::Sync).unwrap();
    payload
}

/// Subscribes to incidents and awaits that this has been done: a client of `tidings.v1` is told so, another one finds its
/// ping answered behind it.
async fn subscribe(raw: &mut Raw, sign: &str) {
    let subscribe = json!({ "action": "subscribe", "topics": ["incidents"] });
    let plain = text(&json!({ "action": "ping" }));
    let ping = if sign == "pong" { plain } else { Vec::new() };
    raw.send(&[text(&subscribe), ping].concat()).await;
    while raw.next_json().await["action"] != sign {}
}

async fn publish(system: &System, title: &str) {
    let data = json!({ "id": "i", "jira_id": "I", "title": title, "severity": "high", "status": "open", "squad": "s" });
    system.publish("ops", "incident.created", &data).await;
}

#[tokio::test]
async fn what_is_offered_is_answered_or_declined() {
    let mut system = System::start().await;
    let offer = |offer: &str| format!("Sec-WebSocket-Extensions: {offer}\r\n");
    let with_window = format!("{ANSWER}; server_max_window_bits=12");
    let small = "permessage-deflate; server_max_window_bits=8";
    for (headers, answer) in [
        (String::new(), None),
        (OFFER.to_owned(), Some(ANSWER)),
        (offer("permessage-deflate; server_max_window_bits=15"), Some(with_window.as_str())),
        (offer(&format!("{small}, permessage-deflate")), Some(ANSWER)),
        (offer(small) + OFFER, Some(ANSWER)),
        (offer(small), None),
        (offer("permessage-deflate; client_max_window_bits=99"), None),
        (offer("permessage-deflate; nonsense, x-other"), None),
    ] {
        let mut raw = Raw::open_with(&system, &headers).await;
        assert_eq!(raw.extensions.as_deref(), answer, "{headers}");
        // Whatever was agreed on, uncompressed messages are understood.
        raw.send(&text(&json!({ "action": "ping" }))).await;
        raw.expect_answer().await;
    }
    system.check_well();

    let system = Setup::default().variable("TIDINGS_GATEWAY__COMPRESSION", "false").start().await;
    assert_eq!(Raw::open_with(&system, OFFER).await.extensions, None);
}

#[tokio::test]
async fn long_messages_come_compressed_to_those_who_agreed() {
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__COMPRESSION_THRESHOLD", "400").start().await;
    let mut plain = Raw::open(&system).await;
    let mut clients = Vec::new();
    for subprotocol in ["", "Sec-WebSocket-Protocol: tidings.v1\r\n"] {
        // The second one of each kind takes the frame that the first one made.
        for _ in 0..2 {
            clients.push(Raw::open_with(&system, &format!("{OFFER}{subprotocol}")).await);
        }
    }
    let signs = ["pong", "pong", "subscribed", "subscribed", "pong"];
    for (client, sign) in clients.iter_mut().chain([&mut plain]).zip(signs) {
        subscribe(client, sign).await;
    }
    let varied: String =
        (0..60_000_u32).map(|number| char::from(b'a' + (number * number % 26) as u8)).collect();
    for (title, is_compressed) in
        [("short", false), (&*"long, ".repeat(100), true), (&varied, true), (&*"long, ".repeat(100), true)]
    {
        publish(&system, title).await;
        let (first, body) = plain.next_but_pings().await.unwrap();
        assert_eq!(first, FINAL | TEXT);
        let body: Value = serde_json::from_slice(&body).unwrap();
        for client in &mut clients {
            let (first, mut payload) = client.next_but_pings().await.unwrap();
            if is_compressed {
                assert_eq!(first, FINAL | COMPRESSED | TEXT);
                payload = inflated(&payload);
            } else {
                assert_eq!(first, FINAL | TEXT);
            }
            let mut message: Value = serde_json::from_slice(&payload).unwrap();
            let members = message.as_object_mut().unwrap();
            members.shift_remove("seq");
            members.shift_remove("id");
            assert_eq!(message, body);
        }
    }
    system.check_well();
}

#[tokio::test]
async fn compressed_messages_are_read_however_they_come() {
    let mut system = System::start().await;
    let mut raw = Raw::open_with(&system, OFFER).await;
    let mut other = Raw::open_with(&system, OFFER).await;
    let ping = deflated(json!({ "action": "ping", "x": "x".repeat(15_000) }).to_string().as_bytes());
    raw.send(&frame(FINAL | COMPRESSED | TEXT, &ping)).await;
    raw.expect_answer().await;
    // What decompresses is shared: others may speak while a message is under way.
    let (front, back) = ping.split_at(ping.len() / 2);
    for bytes in [frame(COMPRESSED | TEXT, front), frame(FINAL | PING, b"1"), frame(0, b"")] {
        raw.send(&bytes).await;
    }
    raw.expect_pong(b"1").await;
    other.send(&frame(FINAL | COMPRESSED | TEXT, &deflated(br#"{"action":"dance"}"#))).await;
    assert_eq!(other.next_json().await["data"]["code"], "UNKNOWN_ACTION");
    raw.send(&frame(FINAL, back)).await;
    raw.expect_answer().await;
    system.check_well();
}
