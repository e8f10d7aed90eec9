//! A WebSocket client down to the socket: it can stop reading, keep its Pongs to itself, and outlive its gateway.

use std::collections::VecDeque;
use std::time::Duration;

use harness::BOUND;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// A connection to a gateway.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Pings that came and were not answered.
    pub(crate) questions: VecDeque<Vec<u8>>,
    /// Whether Pings are answered as they come, as every browser does.
    pub(crate) polite: bool,
}

/// What a gateway sends, but for Pings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    /// A message.
    Text(Value),
    /// A Close with this code.
    Close(u16),
    /// The connection has ended.
    End,
}

/// A handshake that did not end in a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nobody is there, or has gone away meanwhile.
    Away,
    /// The gateway answered with this HTTP status.
    Status(u16),
}

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

impl Wire {
    /// Shakes hands, with a receive buffer of this size; `request` is the path with its query and `headers` are
    /// whole lines.
    pub(crate) async fn open(
        address: &str,
        request: &str,
        headers: &[String],
        receive_buffer: Option<u32>,
    ) -> Result<Self, Refused> {
        let attempt = async {
            let socket = TcpSocket::new_v4()?;
            if let Some(size) = receive_buffer {
                socket.set_recv_buffer_size(size)?;
            }
            let mut stream = socket.connect(address.parse().unwrap()).await?;
            // The key is the example of RFC 6455, section 1.3.
            let mut head = format!(
                "GET {request} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            );
            for header in headers {
                head.push_str(header);
                head.push_str("\r\n");
            }
            head.push_str("\r\n");
            stream.write_all(head.as_bytes()).await?;
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(stream.read_u8().await?);
            }
            std::io::Result::Ok((stream, String::from_utf8_lossy(&answer).into_owned()))
        };
        let outcome = timeout(BOUND, attempt).await.expect("the gateway answers a handshake");
        let Ok((stream, answer)) = outcome else { return Err(Refused::Away) };
        match answer.split(' ').nth(1).and_then(|status| status.parse().ok()) {
            Some(101) => Ok(Self { stream, unread: Vec::new(), questions: VecDeque::new(), polite: true }),
            Some(status) => Err(Refused::Status(status)),
            None => panic!("no HTTP: {answer}"),
        }
    }

    /// What comes next. The test fails if nothing does within `bound`.
    pub(crate) async fn next(&mut self, bound: Duration) -> Heard {
        timeout(bound, self.read()).await.unwrap_or_else(|_| panic!("nothing came within {bound:?}"))
    }

    /// The next message. The test fails if the connection ends instead.
    pub(crate) async fn message(&mut self) -> Value {
        match self.next(BOUND).await {
            Heard::Text(message) => message,
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// All messages until one for which `is_last` holds, that one included.
    pub(crate) async fn until(&mut self, mut is_last: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut messages = Vec::new();
        let all = async {
            loop {
                let Heard::Text(message) = self.read().await else { panic!("the connection ended") };
                let last = is_last(&message);
                messages.push(message);
                if last {
                    break;
                }
            }
        };
        let outcome = timeout(BOUND, all).await;
        assert!(outcome.is_ok(), "the last message did not come, only {}", json!(messages));
        messages
    }

    /// Proves that nothing was on its way: whatever the gateway had queued comes before its answer.
    pub(crate) async fn silence(&mut self) {
        self.say(&json!({ "action": "ping" })).await;
        let next = self.message().await;
        assert_eq!(next["action"], "pong", "expected silence, got {next}");
    }

    /// Sends a message; what comes of it is seen when something is read.
    pub(crate) async fn say(&mut self, message: &Value) {
        self.send(TEXT, message.to_string().as_bytes()).await;
    }

    /// Acknowledges everything up to a sequence.
    pub(crate) async fn ack(&mut self, sequence: u64) {
        self.say(&json!({ "action": "ack", "seq": sequence })).await;
    }

    /// Says goodbye, and reads on until the gateway has said it, too.
    pub(crate) async fn close(mut self) {
        self.send(CLOSE, &1000_u16.to_be_bytes()).await;
        while !matches!(self.next(BOUND).await, Heard::Close(_) | Heard::End) {}
    }

    /// Answers the oldest Ping that was not answered.
    pub(crate) async fn answer(&mut self) {
        let question = self.questions.pop_front().expect("there was a Ping");
        self.send(PONG, &question).await;
    }

    /// Answers every Ping that was not answered.
    pub(crate) async fn answer_all(&mut self) {
        while !self.questions.is_empty() {
            self.answer().await;
        }
    }

    /// Reads until a Ping comes that carries something, and keeps it for [`Self::answer`]. The test fails if a
    /// message comes first.
    pub(crate) async fn question(&mut self) {
        let asked = async {
            loop {
                let (opcode, payload) = self.frame().await.expect("the connection lasts");
                match opcode {
                    PING if payload.is_empty() => self.send(PONG, &[]).await,
                    PING => return self.questions.push_back(payload),
                    _ => panic!("expected a Ping, got {}", String::from_utf8_lossy(&payload)),
                }
            }
        };
        timeout(BOUND, asked).await.expect("the gateway asks what was received");
    }

    async fn read(&mut self) -> Heard {
        loop {
            let Ok((opcode, payload)) = self.frame().await else { return Heard::End };
            match opcode {
                TEXT => {
                    let text = std::str::from_utf8(&payload).expect("text is UTF-8");
                    return Heard::Text(serde_json::from_str(text).expect("messages are JSON"));
                }
                CLOSE => {
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    return Heard::Close(code);
                }
                PING if self.polite => self.send(PONG, &payload).await,
                PING => self.questions.push_back(payload),
                PONG => {}
                other => panic!("unexpected opcode {other}"),
            }
        }
    }

    /// The next frame; may be dropped while it waits without losing anything.
    async fn frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        loop {
            if let Some((frame, length)) = parse(&self.unread) {
                self.unread.drain(..length);
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) {
        // A mask of zeros masks nothing and is allowed.
        let mut frame = vec![0x80 | opcode];
        match u16::try_from(payload.len()).unwrap() {
            short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
            long => {
                frame.push(0x80 | 0x7E);
                frame.extend(long.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        // A gateway that is gone shows when something is read.
        _ = timeout(BOUND, self.stream.write_all(&frame)).await.expect("the gateway reads what it is sent");
    }
}

/// The first frame of these bytes and its length, if all of it is there. A gateway neither masks nor fragments.
fn parse(bytes: &[u8]) -> Option<((u8, Vec<u8>), usize)> {
    let (&first, rest) = bytes.split_first()?;
    let (&second, rest) = rest.split_first()?;
    assert_eq!(first & 0xF0, 0x80, "a whole frame without extensions");
    let (length, rest) = match second {
        126 => {
            rest.split_first_chunk().map(|(length, rest)| (u64::from(u16::from_be_bytes(*length)), rest))?
        }
        127 => rest.split_first_chunk().map(|(length, rest)| (u64::from_be_bytes(*length), rest))?,
        length => (length.into(), rest),
    };
    let payload = rest.get(..usize::try_from(length).unwrap())?;
    Some(((first & 0x0F, payload.to_vec()), bytes.len() - rest.len() + payload.len()))
}
