//! An HTTP server that keeps what it receives and answers as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use harness::{Authority, BOUND, eventually};
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

#[derive(Default)]
struct State {
    connections: usize,
    received: Vec<Received>,
    answers: VecDeque<Response<Full<Bytes>>>,
}

/// Answers 204, if nothing else is prepared.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same, with a certificate of this authority.
    pub(crate) async fn start_with_tls(authority: &Authority) -> Self {
        Self::start_with(Some(authority.acceptor())).await
    }

    async fn start_with(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let server = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                server.state.lock().unwrap().connections += 1;
                let (server, tls) = (server.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                server.serve(stream).await;
                            }
                        }
                        None => server.serve(stream).await,
                    }
                });
            }
        });
        this
    }

    async fn serve(&self, stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
        let service = service_fn(async |request: http::Request<hyper::body::Incoming>| {
            let (head, body) = request.into_parts();
            let received = Received {
                method: head.method.to_string(),
                path: head.uri.to_string(),
                headers: head.headers,
                body: body.collect().await?.to_bytes(),
            };
            let mut state = self.state.lock().unwrap();
            state.received.push(received);
            let otherwise = || Response::builder().status(204).body(Full::default()).unwrap();
            Ok::<_, hyper::Error>(state.answers.pop_front().unwrap_or_else(otherwise))
        });
        // A client that goes away is no failure of the receiver.
        _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    /// Prepares the answer to the next request.
    pub(crate) fn answer(&self, status: u16, headers: &[(&str, &str)], body: &'static str) {
        let response = headers.iter().fold(Response::builder().status(status), |response, (name, value)| {
            response.header(*name, *value)
        });
        self.state.lock().unwrap().answers.push_back(response.body(Full::from(body)).unwrap());
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// Returns all requests, and forgets them.
    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.lock().unwrap().received)
    }

    /// Returns the only request.
    pub(crate) fn one(&self) -> Received {
        let mut received = self.take();
        assert_eq!(received.len(), 1, "{received:?}");
        received.remove(0)
    }
}

/// A server that answers every client with these bytes, the last part again and again, and never ends by itself. Returns
/// its address.
pub(crate) async fn endless(head: &'static [u8], rest: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                _ = stream.read(&mut [0; 1024]).await?;
                stream.write_all(head).await?;
                while !rest.is_empty() {
                    stream.write_all(rest).await?;
                }
                std::future::pending::<std::io::Result<()>>().await
            });
        }
    });
    address
}

/// A port of this machine at which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let address = SocketAddr::from(([127, 0, 0, 1], harness::free_port()));
    eventually("nobody listens", BOUND, async || match TcpStream::connect(address).await {
        Ok(_) => Err("somebody listens"),
        Err(_) => Ok(()),
    })
    .await;
    address
}
