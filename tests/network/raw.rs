//! Connections without a library, for what no library does.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use harness::{BOUND, Refusal, System};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// The address that most clients come from.
pub(crate) const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A request for a WebSocket, whole.
pub(crate) fn request(token: &str) -> String {
    // The key is the example of RFC 6455, section 1.3.
    format!(
        "GET /api/ws HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    )
}

fn address(system: &System) -> SocketAddr {
    system.address().strip_prefix("http://").unwrap().parse().unwrap()
}

/// Connects as one whose system takes little that is not read.
pub(crate) async fn narrow(system: &System) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    timeout(BOUND, socket.connect(address(system))).await.expect("the gateway accepts").unwrap()
}

/// Connects from one of this machine's addresses and sends these bytes.
pub(crate) async fn send(system: &System, from: Ipv4Addr, bytes: &[u8]) -> TcpStream {
    let gateway = address(system);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = timeout(BOUND, socket.connect(gateway)).await.expect("the gateway accepts").unwrap();
    // It may have been closed already.
    let _ = stream.write_all(bytes).await;
    stream
}

/// The status of the answer; `None` if the connection is closed without one.
pub(crate) async fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut head = [0; 12];
    let answer = timeout(BOUND, stream.read_exact(&mut head)).await.expect("an answer, or the end");
    answer.ok().map(|_| std::str::from_utf8(&head).unwrap().split(' ').nth(1).unwrap().parse().unwrap())
}

/// An answer that says no, whole: its status, its head, and its code.
pub(crate) async fn refusal(stream: &mut TcpStream) -> (u16, String, String) {
    let mut answer = Vec::new();
    let whole = async {
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && let Ok(body) = serde_json::from_str::<Value>(body)
            {
                return (head.to_ascii_lowercase(), body);
            }
            let mut more = [0; 1024];
            let read = stream.read(&mut more).await.unwrap_or(0);
            assert!(read > 0, "no answer in JSON: {text}");
            answer.extend_from_slice(&more[..read]);
        }
    };
    let (head, body) = timeout(BOUND, whole).await.expect("an answer");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, body["code"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned())
}

/// Waits until the gateway has closed the connection.
pub(crate) async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // Closed or reset.
    let _ = timeout(BOUND, stream.read_to_end(&mut rest)).await.expect("the gateway closes the connection");
}

/// Whether the gateway has closed the connection by now.
pub(crate) fn is_closed(stream: &TcpStream) -> bool {
    !matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Checks that a refusal says 429 with this code, and waits as long as it says.
pub(crate) async fn honour(refusal: &Refusal, code: &str) {
    check_too_many(refusal, code);
    let seconds: u64 = refusal.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    // What is tested is that so long is long enough.
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[track_caller]
pub(crate) fn check_too_many(refusal: &Refusal, code: &str) {
    let body: Value = serde_json::from_str(&refusal.body).unwrap();
    assert_eq!((refusal.status, &body["code"]), (429, &code.into()), "{body}");
    assert!(refusal.headers.contains_key("retry-after"), "{refusal:?}");
}
