//! The gateway's heartbeat: whoever answers stays, whoever does not is disconnected.

use harness::{BOUND, SECRET, Setup, token};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const CLOSE: u8 = 8;
const PING: u8 = 9;

/// A client that shakes hands and then never says anything again.
async fn mute(address: &str, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The key is the example of RFC 6455, section 1.3.
    let request = format!(
        "GET /api/ws?token={token}&device=mute HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    stream
}

/// The opcode and the payload of the next frame, which is short, whole and not masked.
async fn frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let (first, length) = (stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap());
    assert!(first & 0xF0 == 0x80 && length < 126, "{first:x} {length}");
    let mut payload = vec![0; length.into()];
    stream.read_exact(&mut payload).await.unwrap();
    (first & 0x0F, payload)
}

#[tokio::test]
async fn who_never_answers_is_disconnected_and_who_answers_stays() {
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__HEARTBEAT", "250ms")
        // Long enough for a busy machine to give the client that answers its turn.
        .variable("TIDINGS_GATEWAY__IDLE_TIMEOUT", "4s");
    let mut system = setup.start().await;
    let mut answering = system.open(json!({ "tenant": "ops", "sub": "bo" })).await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let mut mute = mute(system.address().trim_start_matches("http://"), &ada).await;

    let notify = |user: &str, title: &str| json!({ "userId": user, "title": title, "message": "", "type": "info", "priority": "low" });
    let silence = async {
        let mut pings = 0;
        loop {
            match frame(&mut mute).await {
                (PING, payload) if payload.len() <= 125 => pings += 1,
                (CLOSE, payload) => break (pings, payload),
                other => panic!("expected a Ping or a Close, got {other:?}"),
            }
        }
    };
    let watch = async {
        let (pings, close) = timeout(BOUND, silence).await.expect("the gateway gives up on the mute client");
        assert!(pings > 1, "a heartbeat before the end");
        assert_eq!(u16::from_be_bytes([close[0], close[1]]), 4005);
        assert_eq!(&close[2..], b"no answer to the heartbeat");
        system.publish("ops", "notification.created", &notify("bo", "still here")).await;
    };
    // While it waits, this client answers the gateway's Pings.
    let ((), message) = tokio::join!(watch, answering.next_json(BOUND + BOUND));
    assert_eq!(message["data"]["title"], "still here");
    system.check_well();
}

#[tokio::test]
async fn a_websocket_ping_is_answered_by_a_pong_of_the_same_payload() {
    let mut system = Setup::default().start().await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let mut stream = mute(system.address().trim_start_matches("http://"), &ada).await;
    // A mask of zeros leaves the payload as it is.
    stream.write_all(b"\x89\x83\0\0\0\0abc").await.unwrap();
    let answer = timeout(BOUND, frame(&mut stream)).await.unwrap();
    assert_eq!(answer, (10, b"abc".to_vec()));
    // A frame that is not masked breaks RFC 6455, section 5.1.
    stream.write_all(b"\x81\x02{}").await.unwrap();
    let (opcode, payload) = timeout(BOUND, frame(&mut stream)).await.unwrap();
    assert_eq!((opcode, u16::from_be_bytes([payload[0], payload[1]])), (CLOSE, 1002));
    system.check_well();
}
