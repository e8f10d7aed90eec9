//! A socket of an attacker, who writes what they like.

use harness::{BOUND, System};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The first bytes of frames.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const CLOSE: u8 = 0x88;

/// A connection without a library.
#[derive(Debug)]
pub(crate) struct Wire(TcpStream);

impl Wire {
    pub(crate) async fn connect(system: &System) -> Self {
        let gateway = system.address().trim_start_matches("http://");
        Self(timeout(BOUND, TcpStream::connect(gateway)).await.expect("the gateway accepts").unwrap())
    }

    /// An open WebSocket with this token.
    pub(crate) async fn open(system: &System, token: &str) -> Self {
        let mut wire = Self::connect(system).await;
        wire.send(upgrade(token).as_bytes()).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(BOUND, wire.0.read_u8()).await.expect("an answer").unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        wire
    }

    /// Writes these bytes, unless the gateway has closed the connection. Whether it could.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        timeout(BOUND, self.0.write_all(bytes)).await.is_ok_and(|written| written.is_ok())
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn shut(&mut self) {
        // It may have been closed already.
        let _ = self.0.shutdown().await;
    }

    /// The status of the answer; `None` if the connection ends without one.
    pub(crate) async fn status(&mut self) -> Option<u16> {
        let mut head = [0; 12];
        let answer = timeout(BOUND, self.0.read_exact(&mut head)).await.expect("an answer, or the end");
        answer.ok().map(|_| String::from_utf8_lossy(&head[9..]).parse().unwrap())
    }

    /// The next frame's first byte and payload; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        timeout(BOUND, self.frame()).await.expect("a frame, or the end")
    }

    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.0.read_u8().await.ok()?;
        let length = match self.0.read_u8().await.ok()? & 0x7f {
            126 => u64::from(self.0.read_u16().await.ok()?),
            127 => self.0.read_u64().await.ok()?,
            short => u64::from(short),
        };
        let mut payload = vec![0; length.try_into().ok()?];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    }
}

/// A request for a WebSocket, whole.
pub(crate) fn upgrade(token: &str) -> String {
    // The key is the example of RFC 6455, section 1.3.
    format!(
        "GET /api/ws HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    )
}

/// A frame as a client must send it, masked with zeros.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        length => {
            bytes.push(0x80 | 0x7e);
            bytes.extend(u16::try_from(length).expect("an attack's frame is short").to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}
