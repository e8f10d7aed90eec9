//! The stream under HTTP: a client that does not read its answers does not hold them for ever, and every error has the
//! service's form.
//!
//! Only the time counts that passes while the client takes nothing, so a long answer that is made slowly is no reason to
//! end a connection. Heads that cannot be read are answered by hyper itself, without a body and without a way to give
//! it one; such an answer is replaced on its way out.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::StatusCode;
use bytes::{Buf as _, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};

use crate::takeover::{ClientStream, Takeover};

/// What a client has the whole time for.
const SHARE: usize = 64 * 1024;

/// Gives the body, `application/problem+json`, of an answer with this status to a request whose head cannot be read, if it is to have one.
pub(crate) type ErrorBody = fn(StatusCode) -> Option<String>;

/// A socket, with TLS or without, as hyper has it: what an upgraded connection is taken out of.
pub struct HttpStream<S> {
    /// There until it is taken out.
    io: Option<TokioIo<S>>,
    takeover: Takeover,
    /// What becomes of the stream when it is taken over.
    release: fn(S) -> Option<ClientStream>,
    error_body: ErrorBody,
    /// How long a client may take for each [`SHARE`].
    patience: Duration,
    /// What is left of it.
    left: Duration,
    /// How much of the share the client has taken.
    taken: usize,
    waiting: Option<Waiting>,
    replacement: Option<Bytes>,
}

/// The client takes nothing.
struct Waiting {
    since: Instant,
    late: Pin<Box<Sleep>>,
}

impl<S> HttpStream<S> {
    pub(crate) fn new(
        stream: S,
        (patience, error_body): (Duration, ErrorBody),
        (takeover, release): (Takeover, fn(S) -> Option<ClientStream>),
    ) -> Self {
        let (io, left, taken) = (Some(TokioIo::new(stream)), patience, 0);
        let (waiting, replacement) = (None, None);
        Self { io, takeover, release, error_body, patience, left, taken, waiting, replacement }
    }

    /// The stream, whose time is not bounded any more.
    pub fn into_inner(mut self) -> Option<S> {
        self.io.take().map(TokioIo::into_inner)
    }

    /// Counts the time that a client lets pass, and ends it.
    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
        taken: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        let Poll::Ready(outcome) = outcome else {
            let left = self.left;
            let waiting = self
                .waiting
                .get_or_insert_with(|| Waiting { since: Instant::now(), late: Box::pin(sleep(left)) });
            ready!(waiting.late.as_mut().poll(context));
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        };
        if let Some(waiting) = self.waiting.take() {
            self.left = self.left.saturating_sub(waiting.since.elapsed());
        }
        self.taken += outcome.as_ref().map_or(0, taken);
        if self.taken >= SHARE {
            (self.taken, self.left) = (0, self.patience);
        }
        Poll::Ready(outcome)
    }
}

impl<S> Drop for HttpStream<S> {
    fn drop(&mut self) {
        if self.takeover.is_taken()
            && let Some(stream) = self.io.take().and_then(|io| (self.release)(io.into_inner()))
        {
            self.takeover.give(stream);
        }
    }
}

/// The stream was taken out.
fn gone() -> io::Error {
    ErrorKind::NotConnected.into()
}

impl<S: AsyncWrite + Unpin> HttpStream<S> {
    fn write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let io = self.io.as_mut().ok_or_else(gone)?;
        let outcome = Pin::new(io).poll_write(context, bytes);
        self.bounded(context, outcome, |written| *written)
    }
}

impl<S: AsyncRead + Unpin> Read for HttpStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.io.as_mut().ok_or_else(gone)?).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> Write for HttpStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.takeover.is_taken() {
            return Poll::Ready(Ok(bytes.len()));
        }
        if self.replacement.is_none() {
            self.replacement = replacement_of(bytes, self.error_body);
        }
        while let Some(mut rest) = self.replacement.take() {
            if rest.is_empty() {
                return Poll::Ready(Ok(bytes.len()));
            }
            let written = self.write(context, &rest);
            if let Poll::Ready(Ok(written)) = written {
                rest.advance(written);
            }
            self.replacement = Some(rest);
            ready!(written)?;
        }
        self.write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.takeover.is_taken() {
            return Poll::Ready(Ok(()));
        }
        let outcome = Pin::new(self.io.as_mut().ok_or_else(gone)?).poll_flush(context);
        self.bounded(context, outcome, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.takeover.is_taken() {
            return Poll::Ready(Ok(()));
        }
        let outcome = Pin::new(self.io.as_mut().ok_or_else(gone)?).poll_shutdown(context);
        self.bounded(context, outcome, |()| 0)
    }
}

/// What is sent instead of an answer that hyper gives by itself; all of the service's own have a body.
fn replacement_of(answer: &[u8], error_body: ErrorBody) -> Option<Bytes> {
    let head = answer.strip_prefix(b"HTTP/1.1 ")?.strip_suffix(b"\r\n\r\n")?;
    let status = StatusCode::from_bytes(head.get(..3)?).ok()?;
    let is_without_body =
        head.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == b"content-length: 0");
    let body = error_body(status).filter(|_| is_without_body)?;
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    Some(answer.into())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn error_body(status: StatusCode) -> Option<String> {
        (status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            .then(|| "{\"error\":\"too large\"}".to_owned())
    }

    async fn write(transport: &mut HttpStream<DuplexStream>, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|context| Pin::new(&mut *transport).poll_write(context, bytes)).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Has a client read an answer of this length, so many bytes after each pause; whether it gets all of it.
    async fn is_received(length: usize, portion: usize, pause: Duration) -> bool {
        let (near, mut far) = duplex(1024);
        let mut transport = HttpStream::new(near, (PATIENCE, error_body), (Takeover::default(), |_| None));
        let reading = tokio::spawn(async move {
            let mut buffer = vec![0; portion];
            while far.read_exact(&mut buffer).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        });
        let outcome = write(&mut transport, &vec![0; length]).await;
        reading.abort();
        outcome.map_err(|error| assert_eq!(error.kind(), ErrorKind::TimedOut)).is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_has_time_for_each_share_and_no_more() {
        for (what, length, portion, pause, expected) in [
            ("reads at once", 1_000_000, 1_000, Duration::ZERO, true),
            ("reads never", 10_000, 1, Duration::MAX, false),
            ("reads a byte now and then", 10_000, 1, Duration::from_millis(50), false),
            ("reads just fast enough, for long", 1_000_000, 1_000, Duration::from_millis(140), true),
            ("reads a little too slowly", 1_000_000, 1_000, Duration::from_millis(170), false),
        ] {
            assert_eq!(is_received(length, portion, pause).await, expected, "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_the_service_takes_is_not_the_client_s() {
        let (near, mut far) = duplex(1024);
        let mut transport = HttpStream::new(near, (PATIENCE, error_body), (Takeover::default(), |_| None));
        for _ in 0..10 {
            write(&mut transport, &[0; 1000]).await.unwrap();
            far.read_exact(&mut [0; 1000]).await.unwrap();
            tokio::time::sleep(PATIENCE).await;
        }
    }

    #[tokio::test]
    async fn hyper_s_own_answers_get_a_body() {
        let bare =
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let own: &[&[u8]] = &[
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}",
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ];
        // Less room than the answer needs.
        let (near, mut far) = duplex(16);
        let mut transport = HttpStream::new(near, (PATIENCE, error_body), (Takeover::default(), |_| None));
        let writing = async {
            write(&mut transport, bare).await.unwrap();
            for answer in own {
                write(&mut transport, answer).await.unwrap();
            }
            transport.into_inner().unwrap().shutdown().await.unwrap();
        };
        let mut sent = Vec::new();
        let (read, ()) = tokio::join!(far.read_to_end(&mut sent), writing);
        read.unwrap();
        let (first, rest) = sent.split_at(sent.len() - own.concat().len());
        assert_eq!(rest, own.concat());
        let first = std::str::from_utf8(first).unwrap();
        let (head, body) = first.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{first}");
        assert_eq!(body, "{\"error\":\"too large\"}");
    }
}
