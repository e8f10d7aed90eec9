//! The load client: many WebSockets of `tidings.v1` at as little cost as possible, because it shares the machine with
//! the measured processes.
//!
//! It relies on our own server to send unmasked, unfragmented frames, and checks what matters to a user: exactly the
//! expected envelopes, in order.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_protocol::server::SUBPROTOCOL;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::failure::Failure;

pub(crate) const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
/// The second byte of a masked frame with a length of two bytes.
const LONG: u8 = 0x80 | 0x7E;
/// How long any operation may take before the benchmark fails.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// The number of tasks that share the users of a round.
const TASKS: usize = 2;

/// An open connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

/// A returning user.
#[derive(Debug, Clone)]
pub(crate) struct Returning {
    pub(crate) token: String,
    /// What the user missed: the first sequence, the distance to the next, and the number of envelopes.
    pub(crate) first: u64,
    pub(crate) step: u64,
    pub(crate) count: u64,
}

/// The result of all users' return.
pub(crate) struct Returned {
    /// From the first connect until the last user had everything.
    pub(crate) elapsed: Duration,
    /// For each user, from the connect until everything was received; ascending.
    pub(crate) times: Vec<Duration>,
    /// The connections, still open.
    pub(crate) connections: Vec<Connection>,
}

/// Lets all users return, a limited number at a time, and checks what each receives.
pub(crate) async fn return_all(
    address: SocketAddr,
    users: Vec<Returning>,
    under_way: usize,
) -> Result<Returned, Failure> {
    let began = Instant::now();
    let arrived = all_of(users, under_way, move |user| arrive(address, user)).await?;
    let elapsed = began.elapsed();
    let (connections, mut times): (_, Vec<_>) = arrived.into_iter().unzip();
    times.sort();
    Ok(Returned { elapsed, times, connections })
}

/// Does something for all users, for a limited number of them at a time.
pub(crate) async fn all_of<U, R, F>(
    users: Vec<U>,
    under_way: usize,
    work: impl Fn(U) -> F + Clone + Send + 'static,
) -> Result<Vec<R>, Failure>
where
    U: Send + 'static,
    R: Send + 'static,
    F: Future<Output = Result<R, Failure>> + Send,
{
    let count = users.len();
    let share = count.div_ceil(TASKS).max(1);
    let mut users = users.into_iter();
    let mut tasks = Vec::new();
    for _ in 0..count.div_ceil(share) {
        let (users, work) = (users.by_ref().take(share).collect::<Vec<_>>(), work.clone());
        tasks.push(tokio::spawn(async move {
            let done = stream::iter(users).map(work).buffer_unordered((under_way / TASKS).max(1));
            done.try_collect::<Vec<_>>().await
        }));
    }
    let mut done = Vec::with_capacity(count);
    for task in tasks {
        done.extend(task.await??);
    }
    Ok(done)
}

async fn arrive(address: SocketAddr, user: Returning) -> Result<(Connection, Duration), Failure> {
    let began = Instant::now();
    let arrival = async {
        let mut connection = Connection::open(address, &user.token).await?;
        let expected = (0..user.count).map(|index| user.first + index * user.step);
        connection.catch_up(expected).await?;
        if user.count > 0 {
            connection.acknowledge(user.first + (user.count - 1) * user.step).await?;
        }
        Ok((connection, began.elapsed()))
    };
    tokio::time::timeout(PATIENCE, arrival).await?
}

impl Connection {
    /// Connects and performs the handshake.
    pub(crate) async fn open(address: SocketAddr, token: &str) -> Result<Self, Failure> {
        Self::over(TcpStream::connect(address).await?, address, token).await
    }

    /// Performs the handshake on a connected socket.
    pub(crate) async fn over(stream: TcpStream, address: SocketAddr, token: &str) -> Result<Self, Failure> {
        Self::resume(stream, address, token, None).await
    }

    /// The same, to resume after this position, or at the stored one.
    pub(crate) async fn resume(
        stream: TcpStream,
        address: SocketAddr,
        token: &str,
        since: Option<&str>,
    ) -> Result<Self, Failure> {
        let headers = format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\nAuthorization: Bearer {token}\r\n");
        let path = since.map_or_else(|| "/api/ws".to_owned(), |since| format!("/api/ws?since={since}"));
        Self::upgrade(stream, address, &path, &headers).await
    }

    /// Asks for a WebSocket at this path, with these lines of headers.
    pub(crate) async fn upgrade(
        mut stream: TcpStream,
        address: SocketAddr,
        path: &str,
        headers: &str,
    ) -> Result<Self, Failure> {
        stream.set_nodelay(true)?;
        // The key is the example of RFC 6455, section 1.3; a trusted server needs no random one.
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut connection = Self { stream, buffer: BytesMut::with_capacity(8 * 1024) };
        let end = loop {
            if let Some(end) = connection.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            connection.read().await?;
        };
        let head = connection.buffer.split_to(end);
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(format!("the handshake was refused: {}", String::from_utf8_lossy(&head)).into());
        }
        Ok(connection)
    }

    /// Reads until `caught_up`; checks that exactly the expected envelopes were received.
    pub(crate) async fn catch_up(&mut self, mut expected: impl Iterator<Item = u64>) -> Result<(), Failure> {
        loop {
            match self.next().await? {
                Heard::Envelope(sequence) => {
                    let due = expected.next();
                    if due != Some(sequence) {
                        return Err(
                            format!("a user received envelope {sequence} where {due:?} was due").into()
                        );
                    }
                }
                Heard::CaughtUp => {
                    return match expected.next() {
                        None => Ok(()),
                        Some(due) => Err(format!("a user did not receive envelope {due}").into()),
                    };
                }
                Heard::Welcome | Heard::Subscribed | Heard::Other => {}
            }
        }
    }

    /// Reads envelopes, and returns the sequence of the last.
    pub(crate) async fn receive(&mut self, count: u64) -> Result<u64, Failure> {
        let (mut received, mut last) = (0, 0);
        let receiving = async {
            while received < count {
                if let Heard::Envelope(sequence) = self.next().await? {
                    if sequence <= last {
                        return Err(format!("envelope {sequence} came after {last}").into());
                    }
                    received += 1;
                    last = sequence;
                }
            }
            Ok(last)
        };
        tokio::time::timeout(PATIENCE, receiving).await?
    }

    /// Subscribes to a topic and waits for the confirmation.
    pub(crate) async fn subscribe(&mut self, topic: &str) -> Result<(), Failure> {
        self.send(&format!(r#"{{"action":"subscribe","topics":["{topic}"]}}"#)).await?;
        while !matches!(self.next().await?, Heard::Subscribed) {}
        Ok(())
    }

    /// Acknowledges everything up to this sequence.
    pub(crate) async fn acknowledge(&mut self, sequence: u64) -> Result<(), Failure> {
        Ok(self.stream.write_all(&acknowledgement(sequence)?).await?)
    }

    /// The socket, detached from the runtime, and the bytes that were read and not yet parsed.
    pub(crate) fn into_parts(self) -> Result<(std::net::TcpStream, BytesMut), Failure> {
        Ok((self.stream.into_std()?, self.buffer))
    }

    /// Sends a text message.
    pub(crate) async fn send(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.stream.write_all(&masked(TEXT, text.as_bytes())?).await?)
    }

    async fn next(&mut self) -> Result<Heard, Failure> {
        heard(&self.next_text().await?)
    }

    /// Reads up to the next text message.
    pub(crate) async fn next_text(&mut self) -> Result<BytesMut, Failure> {
        loop {
            let (head, start, length) = loop {
                if let Some(found) = whole_frame(&self.buffer) {
                    break found;
                }
                self.read().await?;
            };
            self.buffer.advance(start);
            let payload = self.buffer.split_to(length);
            match head {
                TEXT => return Ok(payload),
                PING => self.stream.write_all(&masked(PONG, &payload)?).await?,
                _ => return Err(format!("a frame that begins with {head:#x} was not expected").into()),
            }
        }
    }

    async fn read(&mut self) -> Result<(), Failure> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        Ok(())
    }
}

/// The frame that acknowledges everything up to this sequence.
pub(crate) fn acknowledgement(sequence: u64) -> Result<Vec<u8>, Failure> {
    masked(TEXT, acknowledgement_text(sequence).as_bytes())
}

pub(crate) fn acknowledgement_text(sequence: u64) -> String {
    format!(r#"{{"action":"ack","seq":{sequence}}}"#)
}

/// A client's frame; the mask of zeros is valid.
fn masked(head: u8, payload: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut frame = vec![head];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length),
        _ => {
            frame.push(LONG);
            frame.extend_from_slice(&u16::try_from(payload.len())?.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    Ok(frame)
}

/// The kind of a server's text message.
pub(crate) enum Heard {
    Envelope(u64),
    Welcome,
    CaughtUp,
    Subscribed,
    Other,
}

pub(crate) fn heard(text: &[u8]) -> Result<Heard, Failure> {
    if let Some(rest) = text.strip_prefix(br#"{"seq":"#) {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        return Ok(Heard::Envelope(std::str::from_utf8(&rest[..digits])?.parse()?));
    }
    for bad in [r#"{"action":"gap""#, r#"{"type":"error""#] {
        if text.starts_with(bad.as_bytes()) {
            return Err(format!("a user received {}", String::from_utf8_lossy(text)).into());
        }
    }
    let controls =
        [("welcome", Heard::Welcome), ("caught_up", Heard::CaughtUp), ("subscribed", Heard::Subscribed)];
    for (begin, heard) in controls {
        if text.starts_with(format!(r#"{{"action":"{begin}""#).as_bytes()) {
            return Ok(heard);
        }
    }
    Ok(Heard::Other)
}

/// The first byte, the start of the payload and its length, of a complete frame (RFC 6455, section 5.2).
pub(crate) fn whole_frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (start, length) = match bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        length => (2, usize::from(*length)),
    };
    (bytes.len() >= start + length).then(|| (bytes[0], start, length))
}
