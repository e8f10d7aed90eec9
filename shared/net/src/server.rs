//! Accepts connections and serves HTTP on them; every request carries the address of its client.
//!
//! A connection that has not become a WebSocket costs a task with hyper's small buffers, and no longer than the time
//! for a handshake: within that time from connecting the first request's head has come, PROXY header and TLS before it
//! included; each later head has as long again from the moment when it could begin, and so has each body. A client that
//! does not take its answers has a time of its own. There may be only so many of them, and whatever goes wrong on one
//! concerns no other connection.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use tidings_access::Transport;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::acceptor::{Accepted, Acceptor};
use crate::client_ip::{ClientIp, TrustedProxies};
use crate::http_stream::HttpStream;
use crate::listener::Listener;
use crate::pending::{Pending, PendingConnection, PendingLimits};
use crate::takeover::{ClientStream, Takeover};
use crate::timed_body::TimedBody;
use crate::tls::Identity;

/// Bytes of a head that are not counted, such as blanks before a value, and that there is room for all the same.
const BLANKS: usize = 1024;
/// The smallest buffer that hyper reads heads into, in bytes.
const SMALLEST_BUFFER: usize = 8 * 1024;
/// How much a socket may hold that is not yet sent: what a client that never reads costs the
/// kernel, which would otherwise let it grow to megabytes.
const SEND_BUFFER: usize = 16 * 1024;
/// How long to wait when the system has no more sockets.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// How long requests under way may take when the service ends.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// How the connections of one listener are served.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The section of the configuration that has the keys below. Messages for the operator name it.
    pub section: &'static str,
    /// Proxies that name their clients.
    pub trusted_proxies: TrustedProxies,
    /// Whether every connection begins with a PROXY header, which only trusted proxies may send.
    pub proxy_protocol: bool,
    /// Time from connecting to the end of the first request's head, for the head of each later one, and for each body.
    pub handshake_timeout: Duration,
    /// Time that a client may take for each 64 KiB of an answer.
    pub response_timeout: Duration,
    /// Headers that a request may have.
    pub max_headers: usize,
    /// Bytes that there is room for in the head of a request; the router refuses longer ones.
    pub max_header_bytes: usize,
    /// Gives the body, `application/problem+json`, of an answer with this status to a request whose head cannot be read, if it is to have one.
    /// Such requests do not come as far as the router.
    pub error_body: fn(StatusCode) -> Option<String>,
}

/// Serves a router over HTTP/1.1, with TLS or without.
#[derive(Clone)]
pub struct Server {
    settings: Arc<Settings>,
    acceptor: Arc<Acceptor>,
    router: Router,
}

impl Server {
    /// Serves with TLS if there is a certificate.
    #[must_use]
    pub fn new(settings: Settings, identity: Option<&Identity>, router: Router) -> Self {
        let Settings { section, trusted_proxies, proxy_protocol, handshake_timeout, .. } = &settings;
        let trusted = trusted_proxies.clone();
        let acceptor = Acceptor::new(identity, trusted, *proxy_protocol, *handshake_timeout, section);
        Self { acceptor: Arc::new(acceptor), settings: Arc::new(settings), router }
    }

    /// Accepts connections until cancelled, of each address and in all as many as the limits permit; then waits a moment
    /// for requests under way. `tasks` has a task for each connection, and whatever else is to be waited for.
    pub async fn run(
        &self,
        listener: &Listener,
        limits: PendingLimits,
        tasks: &TaskTracker,
        cancelled: &CancellationToken,
    ) {
        let pending = Pending::new(limits);
        while let Some((stream, address)) = cancelled.run_until_cancelled(accept(listener)).await {
            // A proxy stands for many clients, and bounds what it lets through itself.
            let is_proxy = self.acceptor.is_proxy(address);
            let place = if is_proxy { None } else { pending.enter(address.ip()) };
            if place.is_none() && !is_proxy {
                continue;
            }
            let (server, cancelled) = (self.clone(), cancelled.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = cancelled.cancelled() => {}
                    () = displaced(place.as_ref()) => {}
                    () = server.serve(stream, address) => {}
                }
            });
        }
        tasks.close();
        let _ = timeout(LAST_REQUESTS, tasks.wait()).await;
    }

    /// Accepts so many connections at once, each for as long as a handshake may take, and never returns: for a service
    /// that is still starting, and answers that it is.
    pub async fn run_meanwhile(&self, listener: &Listener, most: usize) {
        let (tasks, places) = (TaskTracker::new(), Arc::new(Semaphore::new(most)));
        let longest = self.settings.handshake_timeout * 2;
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let (stream, address) = accept(listener).await;
            let server = self.clone();
            tasks.spawn(async move {
                let _place = place;
                let _ = timeout(longest, server.serve(stream, address)).await;
            });
        }
    }

    /// Answers the requests of one connection, until that ends.
    async fn serve(self, stream: TcpStream, address: SocketAddr) {
        let deadline = Instant::now() + self.settings.handshake_timeout;
        let socket = socket2::SockRef::from(&stream);
        if let Err(error) =
            socket.set_tcp_nodelay(true).and_then(|()| socket.set_send_buffer_size(SEND_BUFFER))
        {
            tracing::debug!(%error, "cannot set options of a socket");
        }
        let Some(accepted) = self.acceptor.accept(stream, address, deadline).await else { return };
        let Accepted { stream, nearest, transport } = accepted;
        let settings = self.settings;
        let (body_time, trusted) = (settings.handshake_timeout, settings.trusted_proxies.clone());
        let takeover = Takeover::default();
        let taken = takeover.clone();
        let router = self.router.map_request(move |mut request: Request<_>| {
            let client = ClientIp::new(trusted.client(nearest, request.headers()));
            let transport = match transport {
                Transport::Unknown => trusted.transport(nearest, request.headers()),
                known => known,
            };
            request.extensions_mut().insert(client);
            request.extensions_mut().insert(transport);
            request.extensions_mut().insert(takeover.clone());
            request.map(|body| TimedBody::new(body, body_time))
        });
        let service = TowerToHyperService::new(router);
        let answers = (settings.response_timeout, settings.error_body);
        match stream {
            ClientStream::Plain(stream) => {
                let release = |stream| Some(ClientStream::Plain(stream));
                let stream = HttpStream::new(stream, answers, (taken, release));
                answer(stream, service, deadline, &settings, nearest).await;
            }
            ClientStream::Tls(stream) => {
                let release = |stream| Some(ClientStream::Tls(Box::new(stream)));
                let stream = HttpStream::new(*stream, answers, (taken, release));
                answer(stream, service, deadline, &settings, nearest).await;
            }
        }
    }
}

/// The next connection. While the system has no more sockets, it waits.
async fn accept(listener: &Listener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.socket().accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

async fn displaced(place: Option<&PendingConnection>) {
    match place {
        Some(place) => place.displaced().await,
        None => std::future::pending().await,
    }
}

/// Answers requests. The first has its deadline here, because hyper knows one time for all of them.
async fn answer<I, S>(io: I, service: S, first: Instant, settings: &Settings, nearest: IpAddr)
where
    I: Read + Write + Unpin + Send + 'static,
    S: Service<hyper::Request<Incoming>, Response = Response, Error = Infallible>,
{
    let begun = CancellationToken::new();
    let noticed = service_fn(|request| {
        begun.cancel();
        service.call(request)
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.handshake_timeout)
        .max_buf_size(settings.max_header_bytes.saturating_add(BLANKS).max(SMALLEST_BUFFER))
        .max_headers(settings.max_headers)
        .serve_connection(io, noticed)
        .with_upgrades();
    let late = async {
        if timeout_at(first, begun.cancelled()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = serving => if let Err(error) = served {
            tracing::debug!(%error, peer = %nearest, "an HTTP connection ended badly");
        },
        () = late => tracing::debug!(peer = %nearest, "a connection was closed: no request came in time"),
    }
}

#[cfg(test)]
mod tests;
