//! Messages of every size, in any number of fragments, in both directions.

use harness::{BOUND, Client, Setup, System};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::raw::{BINARY, FINAL, PING, PONG, Raw, TEXT, frame};

/// On both sides of each limit of the encoding of lengths (RFC 6455, section 5.2).
const LENGTHS: [usize; 4] = [125, 126, 65_535, 65_536];

/// A ping of so many bytes, with a long member that nobody looks at.
fn ping_of(length: usize) -> String {
    let empty = json!({ "action": "ping", "x": "" }).to_string().len();
    let text = json!({ "action": "ping", "x": "é".repeat((length - empty) / 2) + &"e".repeat((length - empty) % 2) });
    let text = text.to_string();
    assert_eq!(text.len(), length);
    text
}

#[tokio::test]
async fn messages_of_every_length_are_read() {
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__MAX_FRAME_BYTES", "64 KiB").start().await;
    let mut raw = Raw::open(&system).await;
    let mut peer = system.open(json!({ "tenant": "ops", "sub": "peer" })).await;
    for length in LENGTHS {
        let ping = ping_of(length);
        raw.send(&frame(FINAL | TEXT, ping.as_bytes())).await;
        raw.expect_answer().await;
        peer.send(Message::text(ping)).await;
        assert_eq!(peer.next_json(BOUND).await["action"], "pong");
    }
    for length in [0, 1, 125] {
        raw.send(&frame(FINAL | PING, &vec![7; length])).await;
        raw.expect_pong(&vec![7; length]).await;
        // Unasked for, and so not answered.
        raw.send(&frame(FINAL | PONG, &vec![7; length])).await;
    }
    for (opcode, code) in [(TEXT, "INVALID_MESSAGE"), (BINARY, "UNSUPPORTED_DATA")] {
        raw.send(&frame(FINAL | opcode, b"")).await;
        assert_eq!(raw.next_json().await["data"]["code"], code);
    }
    system.check_well();
}

#[tokio::test]
async fn messages_of_every_length_are_sent() {
    let mut system = System::start().await;
    let claims = json!({ "tenant": "documents", "sub": "reader" });
    let mut raw = Raw::open_as(&system, claims.clone(), "").await;
    let mut peer = system.open(claims).await;
    for (number, length) in LENGTHS.into_iter().enumerate() {
        let body = |message: &str| {
            let document = number.to_string();
            json!({ "status": "error", "errorCode": "E", "message": message, "docId": document, "recoverable": true })
        };
        let empty = body("").to_string().len();
        let mut data = body(&"x".repeat(length - empty));
        let expected = data.to_string();
        data["userId"] = "reader".into();
        system.publish("documents", "processing.failed", &data).await;
        assert_eq!(raw.next_but_pings().await, Some((FINAL | TEXT, expected.clone().into_bytes())));
        assert_eq!((expected.len(), peer.next_text(BOUND).await), (length, expected));
    }
    system.check_well();
}

async fn check_fragments(client: &mut Client, fragments: &[&[u8]]) {
    for (number, fragment) in fragments.iter().enumerate() {
        let opcode = if number == 0 { Data::Text } else { Data::Continue };
        let is_last = number + 1 == fragments.len();
        let fragment = Frame::message(fragment.to_vec(), OpCode::Data(opcode), is_last);
        client.send(Message::Frame(fragment)).await;
        if !is_last {
            client.send(Message::Frame(Frame::ping("between"))).await;
        }
    }
    let answer = client.next_json(BOUND).await;
    assert_eq!(answer["data"]["original_message_id"], "grüße 🎉", "{fragments:?}: {answer}");
}

#[tokio::test]
async fn fragments_make_one_message_wherever_it_is_cut() {
    let mut system = System::start().await;
    let whole = json!({ "action": "dance", "id": "grüße 🎉" }).to_string();
    let whole = whole.as_bytes();
    let mut peer = system.open(json!({ "tenant": "ops", "sub": "peer" })).await;
    check_fragments(&mut peer, &[whole, b""]).await;
    check_fragments(&mut peer, &[b"", b"", whole]).await;
    for cut in 0..whole.len() {
        let (front, back) = whole.split_at(cut);
        check_fragments(&mut peer, &[front, back]).await;
    }
    check_fragments(&mut peer, &whole.chunks(1).collect::<Vec<_>>()).await;

    // The answers to control frames come before the message is whole.
    let mut raw = Raw::open(&system).await;
    raw.send(&[frame(TEXT, br#"{"action":"#), frame(FINAL | PING, b"1")].concat()).await;
    raw.expect_pong(b"1").await;
    raw.send(&[frame(0, br#""pi"#), frame(FINAL | PONG, b""), frame(FINAL | PING, b"2")].concat()).await;
    raw.expect_pong(b"2").await;
    raw.send(&frame(FINAL, br#"ng"}"#)).await;
    raw.expect_answer().await;
    system.check_well();
}

/// Any mask will do, also one that hides nothing.
#[tokio::test]
async fn frames_are_read_whatever_their_mask() {
    let mut system = System::start().await;
    let mut raw = Raw::open(&system).await;
    let ping = br#"{"action":"ping"}"#;
    for mask in [[0, 0, 0, 0], [0xFF; 4], [1, 2, 3, 4], *b"ping"] {
        let masked = ping.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let header = [FINAL | TEXT, 0x80 | u8::try_from(ping.len()).unwrap()];
        raw.send(&header.into_iter().chain(mask).chain(masked).collect::<Vec<u8>>()).await;
        raw.expect_answer().await;
    }
    system.check_well();
}
