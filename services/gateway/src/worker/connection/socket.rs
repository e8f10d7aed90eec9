//! A client's socket, with or without TLS. Only this file reads and writes sockets of clients.
//!
//! TLS is on the worker's own thread and in its own calls: frames go into records of the rustls session in one
//! call, and its records go to the socket in one call. The session takes more only when the socket has taken
//! all it had, so that a connection holds at most [`UNSENT_RECORDS`] bytes beyond its queue. What was read
//! is taken out of the session before more is read; so an idle connection holds no text in either direction, and
//! what tells of something to read is the raw socket alone.

use std::cell::{RefCell, RefMut};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use bytes::{Bytes, BytesMut};
use hyper::upgrade::Upgraded;
use mio::{Interest, Registry, Token};
use rustix::net::SendFlags;
use rustls::ServerConnection;
use tidings_net::{ClientStream, HttpStream};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::event_stream::EventStream;
use super::http_format::HttpFormat as _;
use super::page::{HttpAnswer, Page};
use super::send_queue::{Flushed, SendQueue};
use crate::worker::served_shard::ConnectionId;

/// How much of what is to be sent a TLS session may hold, in bytes: one record of the greatest size (RFC
/// 8446, section 5.1), as the kernel takes no more at a time.
const UNSENT_RECORDS: usize = 16 * 1024;

/// A client's socket on its way from hyper's runtime to a worker's.
pub(super) struct Detached {
    /// Off any runtime, so that the registration which hyper used goes with all that it kept alive.
    stream: std::net::TcpStream,
    session: Option<Box<ServerConnection>>,
    /// How its request is answered, if it has not become a WebSocket.
    answer: Option<HttpAnswer>,
}

/// Why a socket cannot be taken from hyper.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DetachError {
    #[error("an upgraded connection is not the socket that was accepted")]
    Foreign,
    #[error("cannot take a client's socket off its runtime")]
    Runtime(#[source] io::Error),
}

impl Detached {
    /// Takes the socket of a connection that has become a WebSocket, with what was read from it already.
    pub(super) fn from_upgraded(upgraded: Upgraded) -> Result<(Self, Bytes), DetachError> {
        let (stream, session, early_bytes) = match upgraded.downcast::<HttpStream<TcpStream>>() {
            Ok(parts) => (parts.io.into_inner().ok_or(DetachError::Foreign)?, None, parts.read_buf),
            Err(upgraded) => {
                let parts = upgraded.downcast::<HttpStream<TlsStream<TcpStream>>>();
                let parts = parts.map_err(|_| DetachError::Foreign)?;
                let stream = parts.io.into_inner().ok_or(DetachError::Foreign)?;
                let (stream, mut session) = stream.into_inner();
                let early_bytes = with_decrypted(parts.read_buf, &mut session);
                (stream, Some(Box::new(session)), early_bytes)
            }
        };
        let stream = stream.into_std().map_err(DetachError::Runtime)?;
        Ok((Self { stream, session, answer: None }, early_bytes))
    }

    /// Takes the socket of a request that is answered over HTTP.
    pub(super) fn from_request(taken: ClientStream, answer: HttpAnswer) -> Result<Self, DetachError> {
        let (stream, session) = match taken {
            ClientStream::Plain(stream) => (stream, None),
            ClientStream::Tls(stream) => {
                let (stream, session) = stream.into_inner();
                (stream, Some(Box::new(session)))
            }
        };
        let stream = stream.into_std().map_err(DetachError::Runtime)?;
        Ok(Self { stream, session, answer: Some(answer) })
    }
}

/// What hyper has read, followed by what the session has decrypted and hyper has not asked for.
fn with_decrypted(read: Bytes, session: &mut ServerConnection) -> Bytes {
    let mut decrypted = Vec::new();
    // Ends with an error when there is nothing more for now; an end of the stream shows when it is read next.
    let _ = session.reader().read_to_end(&mut decrypted);
    if decrypted.is_empty() {
        return read;
    }
    let mut all = BytesMut::from(read);
    all.extend_from_slice(&decrypted);
    all.freeze()
}

/// A client's socket with its worker.
pub(in crate::worker) enum Socket {
    Plain(mio::net::TcpStream),
    Tls(Box<Tls>),
    /// Of a client that receives events over HTTP, and sends nothing here.
    Events(Box<Events>),
}

pub(in crate::worker) struct Events {
    socket: Socket,
    format: RefCell<Format>,
}

/// What frames become.
enum Format {
    Stream(EventStream),
    Page(Box<Page>),
}

impl Format {
    fn stream(&mut self) -> Option<&mut EventStream> {
        if let Self::Stream(stream) = self { Some(stream) } else { None }
    }

    fn page(&mut self) -> Option<&mut Page> {
        if let Self::Page(page) = self { Some(page) } else { None }
    }
}

/// How long the system may try to send to a client of an event stream, which says nothing itself by which it could be seen to
/// be there; in milliseconds.
const UNACKNOWLEDGED: u32 = 60_000;

pub(in crate::worker) struct Tls {
    stream: mio::net::TcpStream,
    session: RefCell<ServerConnection>,
}

impl Socket {
    /// Registers the socket under this number: the worker's poll reports each time that it has something to read, or room,
    /// again.
    pub(in crate::worker) fn attach(
        detached: Detached,
        registry: &Registry,
        id: ConnectionId,
    ) -> io::Result<Self> {
        let mut stream = mio::net::TcpStream::from_std(detached.stream);
        let token = Token(usize::try_from(id).map_err(io::Error::other)?);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let socket = match detached.session {
            None => Self::Plain(stream),
            Some(mut session) => {
                session.set_buffer_limit(Some(UNSENT_RECORDS));
                Self::Tls(Box::new(Tls { stream, session: RefCell::new(*session) }))
            }
        };
        let Some(answer) = detached.answer else { return Ok(socket) };
        rustix::net::sockopt::set_tcp_user_timeout(socket.stream(), UNACKNOWLEDGED)?;
        let format = RefCell::new(match answer {
            HttpAnswer::Events(head) => Format::Stream(EventStream::new(head)),
            HttpAnswer::Page(request) => Format::Page(Box::new(Page::new(request))),
        });
        Ok(Self::Events(Box::new(Events { socket, format })))
    }

    /// Whether the client has no WebSocket.
    pub(super) fn is_http(&self) -> bool {
        matches!(self, Self::Events(_))
    }

    /// The event stream, if the client receives one.
    pub(super) fn events(&self) -> Option<RefMut<'_, EventStream>> {
        let Self::Events(events) = self else { return None };
        RefMut::filter_map(events.format.borrow_mut(), Format::stream).ok()
    }

    /// The page, if the client receives one.
    pub(super) fn page(&self) -> Option<RefMut<'_, Page>> {
        let Self::Events(events) = self else { return None };
        RefMut::filter_map(events.format.borrow_mut(), Format::page).ok()
    }

    fn stream(&self) -> &mio::net::TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &tls.stream,
            Self::Events(events) => events.socket.stream(),
        }
    }

    /// Reads what has come; 0 at the end. Also whether nothing is left behind but perhaps the end. Would block only when
    /// nothing more has come.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        match self {
            Self::Plain(stream) => {
                let count = (&*stream).read(buffer)?;
                Ok((count, count < buffer.len()))
            }
            // What a TLS session has decrypted may be more or less than it has read.
            Self::Tls(tls) => Ok((tls.read(buffer)?, false)),
            // Nothing may follow the request; a client that sends more, as one that ends, is done.
            Self::Events(events) => events.socket.read(buffer).map(|_| (0, true)),
        }
    }

    /// Sends as much of a queue as the kernel takes. If it is the last, the direction ends behind it.
    pub(super) fn send(&self, queue: &mut SendQueue, is_last: bool) -> io::Result<Flushed> {
        match queue.flush(|slices| self.write(slices))? {
            Flushed::All if is_last => self.finish(),
            Flushed::All => self.flush(),
            // A page that takes no more.
            Flushed::Blocked if self.page().is_some_and(|page| page.is_ready()) => self.flush(),
            other => Ok(other),
        }
    }

    /// Takes some of these bytes to be sent, at least one.
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => match slices {
                [slice] => send(stream, slice),
                slices => (&*stream).write_vectored(slices),
            },
            Self::Tls(tls) => tls.write(slices),
            Self::Events(events) => events.write(slices),
        }
    }

    /// Gives to the kernel what was taken to be sent.
    fn flush(&self) -> io::Result<Flushed> {
        match self {
            Self::Plain(_) => Ok(Flushed::All),
            Self::Tls(tls) => tls.flush(),
            Self::Events(events) => events.flush(),
        }
    }

    /// Whether something waits to be sent; a TLS session may answer by itself to what it reads.
    pub(super) fn is_unsent(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.session.borrow().wants_write(),
            Self::Events(events) => events.socket.is_unsent(),
        }
    }

    /// Nothing follows. A client that waits for the server to close first (RFC 6455, section 7.1.1) sees the
    /// end of the stream at once, and what it is still sending is read to its end, so that no reset overtakes
    /// the Close.
    fn finish(&self) -> io::Result<Flushed> {
        if let Self::Events(events) = self {
            return match events.flush()? {
                Flushed::All => events.socket.finish(),
                unfinished => Ok(unfinished),
            };
        }
        if let Self::Tls(tls) = self {
            // Has an effect but once.
            tls.session.borrow_mut().send_close_notify();
            if tls.flush()? == Flushed::Blocked {
                return Ok(Flushed::Blocked);
            }
        }
        // Fails only if the client is gone already.
        let _ = socket2::SockRef::from(self.stream()).shutdown(Shutdown::Write);
        Ok(Flushed::All)
    }
}

impl Socket {
    /// Ends both directions at once, even if the socket is still held elsewhere.
    pub(super) fn abort(&self) {
        // Fails only if the client is gone already.
        let _ = socket2::SockRef::from(self.stream()).shutdown(Shutdown::Both);
    }
}

/// One piece goes by `send`, which costs a tenth less than `writev`.
fn send(stream: &mio::net::TcpStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
}

impl Events {
    /// Takes frames, at least one, to be sent as events.
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.flush()? == Flushed::Blocked {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = match &mut *self.format.borrow_mut() {
            Format::Stream(stream) => stream.take(slices),
            Format::Page(page) => page.take(slices),
        };
        if taken == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.flush()?;
        Ok(taken)
    }

    fn flush(&self) -> io::Result<Flushed> {
        let write = |bytes: &[u8]| self.socket.write(&[IoSlice::new(bytes)]);
        let flushed = match &mut *self.format.borrow_mut() {
            Format::Stream(stream) => stream.send(write)?,
            Format::Page(page) => page.send(write)?,
        };
        match flushed {
            Flushed::All => self.socket.flush(),
            Flushed::Complete if self.socket.flush()? == Flushed::Blocked => Ok(Flushed::Blocked),
            other => Ok(other),
        }
    }
}

impl Tls {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let session = &mut *self.session.borrow_mut();
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            session.read_tls(&mut &self.stream)?;
            if let Err(error) = session.process_new_packets() {
                // The alert says why. Whether it gets there is the client's concern.
                let _ = session.write_tls(&mut &self.stream);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.flush()? {
            Flushed::All | Flushed::Complete => self.session.borrow_mut().writer().write_vectored(slices),
            Flushed::Blocked => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&self) -> io::Result<Flushed> {
        let session = &mut *self.session.borrow_mut();
        while session.wants_write() {
            match session.write_tls(&mut &self.stream) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Flushed::All)
    }
}
