//! A client that writes whatever bytes it is told to and shows each frame as it came.

use std::sync::atomic::{AtomicU32, Ordering};

use harness::{BOUND, SECRET, System, token};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

pub(crate) const FINAL: u8 = 0x80;
pub(crate) const COMPRESSED: u8 = 0x40;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A masked frame with the shortest length, as tungstenite writes it; `first` is the whole first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        opcode: OpCode::Data(Data::Text),
        mask: Some([0x37, 0xFA, 0x21, 0x3D]),
        ..FrameHeader::default()
    };
    let mut bytes = Vec::new();
    Frame::from_payload(header, payload.to_vec().into()).format(&mut bytes).unwrap();
    bytes[0] = first;
    bytes
}

/// A JSON value as a whole text.
pub(crate) fn text(value: &Value) -> Vec<u8> {
    frame(FINAL | TEXT, value.to_string().as_bytes())
}

/// A frame of the gateway: its first byte and its payload.
pub(crate) type Received = (u8, Vec<u8>);

/// An open connection, of a user of its own where nothing else is said.
pub(crate) struct Raw {
    stream: TcpStream,
    /// What the gateway answered in `Sec-WebSocket-Extensions`.
    pub(crate) extensions: Option<String>,
}

impl Raw {
    /// Without extensions.
    pub(crate) async fn open(system: &System) -> Self {
        Self::open_with(system, "").await
    }

    /// With these further headers, each with its line's end.
    pub(crate) async fn open_with(system: &System, headers: &str) -> Self {
        static USERS: AtomicU32 = AtomicU32::new(0);
        let user = format!("raw-{}", USERS.fetch_add(1, Ordering::Relaxed));
        Self::open_as(system, json!({ "tenant": "ops", "sub": user }), headers).await
    }

    /// With a token of these claims.
    pub(crate) async fn open_as(system: &System, claims: Value, headers: &str) -> Self {
        let token = token(SECRET, claims);
        let address = system.address().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The key and its answer are the example of RFC 6455, section 1.3.
        let request = format!(
            "GET /api/ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Authorization: Bearer {token}\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(within("the answer", stream.read_u8()).await.unwrap()));
        }
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        let answer = |name: &str| {
            let mut headers = head.split("\r\n").filter_map(|line| line.split_once(": "));
            headers.find(|header| header.0.eq_ignore_ascii_case(name)).map(|header| header.1.to_owned())
        };
        assert_eq!(answer("sec-websocket-accept").unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let extensions = answer("sec-websocket-extensions");
        Self { stream, extensions }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        within("sending", self.stream.write_all(bytes)).await.unwrap();
    }

    /// As [`Self::send`], where the gateway may have gone away.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        within("sending", self.stream.write_all(bytes)).await
    }

    /// The next text that is whole and uncompressed, as JSON, whatever Pings and Pongs come before.
    pub(crate) async fn next_json_past_pongs(&mut self) -> Value {
        loop {
            let (first, payload) = self.next_but_pings().await.unwrap();
            if first != FINAL | PONG {
                assert_eq!(first, FINAL | TEXT, "{payload:?}");
                return serde_json::from_slice(&payload).unwrap();
            }
        }
    }

    /// The next frame, which is whole, unmasked and has the shortest length; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        within("a frame", async {
            let first = self.stream.read_u8().await.ok()?;
            let (length, least) = match self.stream.read_u8().await.unwrap() {
                126 => (u64::from(self.stream.read_u16().await.unwrap()), 126),
                127 => (self.stream.read_u64().await.unwrap(), 65_536),
                short @ ..126 => (short.into(), 0),
                masked => panic!("a server masks no frame: {masked:#x}"),
            };
            assert!(length >= least, "{length} bytes need a shorter header");
            let mut payload = vec![0; length.try_into().unwrap()];
            self.stream.read_exact(&mut payload).await.unwrap();
            Some((first, payload))
        })
        .await
    }

    /// The next frame that is a whole, uncompressed text, as JSON.
    pub(crate) async fn next_json(&mut self) -> Value {
        let (first, payload) = self.next_but_pings().await.unwrap();
        assert_eq!(first, FINAL | TEXT, "{payload:?}");
        serde_json::from_slice(&payload).unwrap()
    }

    /// The next frame that is no Ping: the gateway asks with them what has arrived.
    pub(crate) async fn next_but_pings(&mut self) -> Option<Received> {
        loop {
            match self.next().await {
                Some((first, _)) if first == FINAL | PING => {}
                other => return other,
            }
        }
    }

    /// The next frame is this Pong.
    pub(crate) async fn expect_pong(&mut self, payload: &[u8]) {
        assert_eq!(self.next().await, Some((FINAL | PONG, payload.to_vec())));
    }

    /// The next frame answers `{"action":"ping"}`.
    pub(crate) async fn expect_answer(&mut self) {
        assert_eq!(self.next_json().await["action"], "pong");
    }

    /// The next frame is a Close with this code and reason, and the last thing that comes.
    pub(crate) async fn expect_close(&mut self, code: u16, reason: &str) {
        let (first, payload) = self.next_but_pings().await.unwrap();
        assert_eq!(first, FINAL | CLOSE, "{}", String::from_utf8_lossy(&payload));
        let (given, text) = payload.split_first_chunk().unwrap();
        let given = (u16::from_be_bytes(*given), std::str::from_utf8(text).unwrap());
        assert_eq!(given, (code, reason));
        self.expect_end().await;
    }

    /// The gateway has closed its side of the connection.
    pub(crate) async fn expect_end(&mut self) {
        assert_eq!(self.next().await, None);
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.unwrap_or_else(|_| panic!("not within {BOUND:?}: {what}"))
}
