//! Receivers of other channels: an HTTP server and a mail server that keep what they are sent and answer as a test says.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream,
};
use tokio::net::TcpListener;

use crate::{Authority, BOUND, eventually};

/// What a receiver was sent.
#[derive(Debug, Clone)]
pub struct Received {
    /// The path of a request; the recipient of a mail.
    pub to: String,
    /// Headers of a request, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, or the mail as it was sent.
    pub body: Vec<u8>,
}

impl Received {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How an HTTP server answers: the status, and the body. How a mail server does: 250, or another code with its text.
type Answer = dyn Fn(&Received) -> (u16, String) + Send + Sync;

/// Keeps what it is sent, whatever it answers.
#[derive(Clone)]
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Answer>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Receiver({})", self.address)
    }
}

impl Receiver {
    /// An HTTP server, with a certificate if an authority is given.
    pub async fn http(
        authority: Option<&Authority>,
        answer: impl Fn(&Received) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let (listener, this) = Self::bind(answer).await;
        let (server, tls) = (this.clone(), authority.map(Authority::acceptor));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (server.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => server.serve_http(tls.accept(stream).await.ok()?).await,
                        None => server.serve_http(stream).await,
                    }
                });
            }
        });
        this
    }

    /// A mail server without encryption.
    pub async fn mail(answer: impl Fn(&Received) -> (u16, String) + Send + Sync + 'static) -> Self {
        let (listener, this) = Self::bind(answer).await;
        let server = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve_mail(stream).await });
            }
        });
        this
    }

    async fn bind(
        answer: impl Fn(&Received) -> (u16, String) + Send + Sync + 'static,
    ) -> (TcpListener, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, Self { address, received: Arc::default(), answer: Arc::new(answer) })
    }

    /// What came so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until so much has come, and returns it.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} deliveries come to {}", self.address), BOUND, async || {
            let received = self.received();
            if received.len() >= count { Ok(received) } else { Err(format!("{received:?}")) }
        })
        .await
    }

    fn answer(&self, received: Received) -> (u16, String) {
        let answer = (self.answer)(&received);
        self.received.lock().unwrap().push(received);
        answer
    }

    async fn serve_http(self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
        let mut stream = BufStream::new(stream);
        let mut first = String::new();
        stream.read_line(&mut first).await.ok().filter(|read| *read > 0)?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let to = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let (status, text) = self.answer(Received { to, headers, body });
        let head = format!(
            "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            text.len()
        );
        stream.write_all((head + &text).as_bytes()).await.ok()?;
        stream.flush().await.ok()
    }

    async fn serve_mail(self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
        let mut stream = BufStream::new(stream);
        let (mut to, mut line) = (String::new(), String::new());
        stream.write_all(b"220 localhost\r\n").await.ok()?;
        loop {
            stream.flush().await.ok()?;
            line.clear();
            stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            let said = match line.split([' ', '\r']).next().unwrap_or_default().to_ascii_uppercase().as_str()
            {
                "RCPT" => {
                    to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                    "250 good\r\n".to_owned()
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await.ok()?;
                    stream.flush().await.ok()?;
                    let mut body = Vec::new();
                    while !body.ends_with(b"\r\n.\r\n") {
                        stream.read_until(b'\n', &mut body).await.ok().filter(|read| *read > 0)?;
                    }
                    let (code, text) =
                        self.answer(Received { to: to.clone(), headers: BTreeMap::new(), body });
                    format!("{code} {text}\r\n")
                }
                "QUIT" => return None,
                _ => "250 good\r\n".to_owned(),
            };
            stream.write_all(said.as_bytes()).await.ok()?;
        }
    }
}
