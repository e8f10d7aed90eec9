//! Taking a client's socket from under HTTP, for an answer without an end that another part of the program writes.
//!
//! hyper gives a socket back only for an upgrade, which an event stream is not. So the stream under it does: from the moment on in
//! which a handler takes the socket, what hyper writes goes nowhere, and when hyper gives the stream up, as it does after an
//! answer with `Connection: close`, the socket goes to the handler.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::server::TlsStream;

/// A client's socket.
pub enum ClientStream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// The way by which the handler of a request gets the request's socket: an extension of each request.
#[derive(Clone, Default)]
pub struct Takeover(Arc<Mutex<Option<oneshot::Sender<ClientStream>>>>);

impl Takeover {
    /// Takes the socket. It comes when the request was answered; the answer itself is not sent. Bytes that the client sent
    /// behind its request may be lost.
    #[must_use]
    pub fn take(&self) -> oneshot::Receiver<ClientStream> {
        let (sender, receiver) = oneshot::channel();
        *self.lock() = Some(sender);
        receiver
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.lock().is_some()
    }

    /// Gives the socket to who has taken it.
    pub(crate) fn give(&self, stream: ClientStream) {
        if let Some(sender) = self.lock().take() {
            // The handler may have gone.
            let _ = sender.send(stream);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<oneshot::Sender<ClientStream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
