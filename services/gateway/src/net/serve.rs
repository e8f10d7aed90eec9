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
use axum::response::Response;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use tidings_access::Transport;
use tidings_runtime::config::GatewayConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::transport::{Entered, Entrance};
use crate::api::{Endpoint, Routes, Stage, router};
use crate::client_ip;
use crate::client_ip::{ClientIp, is_trusted};
use crate::context::Context;
use crate::http_stream::HttpStream;
use crate::limits::{Pending, PendingConnection, TimedBody};

/// Bytes of a head that are not counted, such as blanks before a value, and that there is room for all the same.
const BLANKS: usize = 1024;
/// The smallest buffer that hyper reads heads into, in bytes.
const SMALLEST_BUFFER: usize = 8 * 1024;
/// How much a socket may hold that is not yet sent: what a client that never reads costs the
/// kernel, which would otherwise let it grow to megabytes.
const SEND_BUFFER: usize = 16 * 1024;
/// How long to wait when the system has no more sockets.
pub(super) const EXHAUSTED: Duration = Duration::from_millis(100);
/// How long requests under way may take when the gateway ends.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// Accepts connections until cancelled, and answers what is asked on these routes.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Routes,
    tls: Option<TlsAcceptor>,
    context: Arc<Context>,
    stage: watch::Receiver<Stage>,
    cancelled: CancellationToken,
) {
    let tasks = TaskTracker::new();
    // Administrators come from within, past the balancer that sends PROXY headers, and have room of their own.
    let (proxy_protocol, pending) = match routes {
        Routes::Admin => (false, Pending::new(&context.settings)),
        Routes::Clients | Routes::All => {
            (context.settings.proxy_protocol, Arc::clone(&context.limits.pending))
        }
    };
    let entrance = Arc::new(Entrance::new(context.settings.clone(), tls, proxy_protocol));
    let router = router(routes, Endpoint::new(context, stage, tasks.clone()));
    while let Some(accepted) = cancelled.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, address)) => {
                // A proxy stands for many clients, and bounds what it lets through itself.
                let is_proxy = is_trusted(address.ip().to_canonical(), &entrance.settings().trusted_proxies);
                let place = if is_proxy { None } else { pending.enter(address.ip()) };
                if place.is_none() && !is_proxy {
                    continue;
                }
                let serving = serve_connection(stream, address, Arc::clone(&entrance), router.clone());
                let cancelled = cancelled.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = cancelled.cancelled() => {}
                        () = displaced(place.as_ref()) => {}
                        () = serving => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
    tasks.close();
    let _ = tokio::time::timeout(LAST_REQUESTS, tasks.wait()).await;
}

async fn displaced(place: Option<&PendingConnection>) {
    match place {
        Some(place) => place.displaced().await,
        None => std::future::pending().await,
    }
}

/// Answers the requests of one connection, until that ends.
pub(super) async fn serve_connection(
    stream: TcpStream,
    address: SocketAddr,
    entrance: Arc<Entrance>,
    router: Router,
) {
    let bounds = Bounds::of(entrance.settings());
    let handshake_timeout = entrance.settings().handshake_timeout;
    let deadline = Instant::now() + handshake_timeout;
    let socket = socket2::SockRef::from(&stream);
    if let Err(error) = socket.set_tcp_nodelay(true).and_then(|()| socket.set_send_buffer_size(SEND_BUFFER)) {
        tracing::debug!(%error, "cannot set options of a socket");
    }
    let Some((entered, nearest)) = entrance.admit(stream, address, deadline).await else { return };
    let is_direct = !entrance.settings().proxy_protocol
        && !is_trusted(address.ip().to_canonical(), &entrance.settings().trusted_proxies);
    let seen = match &entered {
        Entered::Tls(_) => Transport::Secured,
        Entered::Plain(_) if is_direct => Transport::Plain,
        Entered::Plain(_) => Transport::Unknown,
    };
    let router = router.map_request(move |mut request: Request<_>| {
        let trusted = &entrance.settings().trusted_proxies;
        let client = ClientIp::read(nearest, request.headers(), trusted);
        let transport = match seen {
            Transport::Unknown => client_ip::transport(nearest, request.headers(), trusted),
            seen => seen,
        };
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(transport);
        request.map(|body| TimedBody::new(body, handshake_timeout))
    });
    let service = TowerToHyperService::new(router);
    let patience = bounds.response;
    match entered {
        Entered::Plain(stream) => {
            answer(HttpStream::new(stream, patience), service, deadline, bounds, nearest).await;
        }
        Entered::Tls(stream) => {
            answer(HttpStream::new(*stream, patience), service, deadline, bounds, nearest).await;
        }
    }
}

/// What a client may take.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// For the head of each request but the first.
    head: Duration,
    /// For each share of an answer.
    response: Duration,
    headers: usize,
    buffer: usize,
}

impl Bounds {
    fn of(settings: &GatewayConfig) -> Self {
        Self {
            head: settings.handshake_timeout,
            response: settings.response_timeout,
            headers: settings.max_headers.get(),
            buffer: settings.max_header_bytes.saturating_add(BLANKS).max(SMALLEST_BUFFER),
        }
    }
}

/// Answers requests. The first has its deadline here, because hyper knows one time for all of them.
async fn answer<I, S>(io: I, service: S, first: Instant, bounds: Bounds, nearest: IpAddr)
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
        .header_read_timeout(bounds.head)
        .max_buf_size(bounds.buffer)
        .max_headers(bounds.headers)
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
