//! The framing against tungstenite as the client, at every boundary of the length encoding.

use std::io::{self, Cursor, Read, Write};

use tidings_protocol::close::CloseCode;
use tidings_protocol::framing::{self, Inbound, Message, Opcode};
use tungstenite::protocol::frame::coding::CloseCode as PeerCloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocket};
use tungstenite::{Message as PeerMessage, Utf8Bytes};

const LENGTHS: [usize; 9] = [0, 1, 124, 125, 126, 127, 65_535, 65_536, 70_000];
const LIMIT: usize = 1 << 20;

/// What the client reads was put there before; what it writes is collected.
#[derive(Default)]
struct Wire {
    to_client: Cursor<Vec<u8>>,
    from_client: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.to_client.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.from_client.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn client() -> WebSocket<Wire> {
    WebSocket::from_raw_socket(Wire::default(), Role::Client, None)
}

fn client_that_hears(frames: &[bytes::Bytes]) -> WebSocket<Wire> {
    let wire = Wire { to_client: Cursor::new(frames.concat()), ..Wire::default() };
    WebSocket::from_raw_socket(wire, Role::Client, None)
}

fn text_of(length: usize) -> String {
    ('a'..='z').cycle().take(length).collect()
}

#[test]
fn the_peer_reads_what_is_written() {
    for length in LENGTHS {
        let text = text_of(length);
        let mut client = client_that_hears(&[framing::frame(Opcode::Text, text.as_bytes())]);
        assert_eq!(client.read().unwrap(), PeerMessage::text(text), "{length}");
    }
    let mut client = client_that_hears(&[
        framing::frame(Opcode::Ping, b"17"),
        framing::text_with_sequence(7, "evt-1", br#"{"a":1}"#).unwrap(),
        framing::close(CloseCode::TokenExpired, "the token expired"),
    ]);
    assert_eq!(client.read().unwrap(), PeerMessage::Ping("17".into()));
    assert_eq!(client.read().unwrap(), PeerMessage::text(r#"{"seq":7,"id":"evt-1","a":1}"#));
    let close = CloseFrame {
        code: PeerCloseCode::Library(4001),
        reason: Utf8Bytes::from_static("the token expired"),
    };
    assert_eq!(client.read().unwrap(), PeerMessage::Close(Some(close)));
}

#[test]
fn what_the_peer_writes_is_read() {
    let mut client = client();
    for length in LENGTHS {
        client.write(PeerMessage::text(text_of(length))).unwrap();
        client.write(PeerMessage::binary(vec![0xFF; length])).unwrap();
    }
    client.write(PeerMessage::Ping(vec![1; 125].into())).unwrap();
    client.write(PeerMessage::Pong("17".into())).unwrap();
    let reason = Utf8Bytes::from_static("good night");
    client.close(Some(CloseFrame { code: PeerCloseCode::Away, reason })).unwrap();
    client.flush().unwrap();

    let mut expected = Vec::new();
    for length in LENGTHS {
        expected.push(Message::Text(text_of(length).into()));
        expected.push(Message::Binary);
    }
    expected.push(Message::Ping(vec![1; 125].into()));
    expected.push(Message::Pong(b"17"[..].into()));
    expected.push(Message::Close { code: Some(1001), reason: "good night".into() });

    for size in [1, 3, 1000, 4096, usize::MAX] {
        let mut wire = client.get_ref().from_client.clone();
        let size = size.min(wire.len());
        let mut inbound = Inbound::default();
        let mut messages = Vec::new();
        for piece in wire.chunks_mut(size) {
            messages.extend(inbound.feed(piece, LIMIT).map(Result::unwrap));
        }
        assert!(messages == expected, "in pieces of {size}");
    }
}
