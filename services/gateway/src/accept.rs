//! The listening socket: from an accepted connection to requests that know whom they come from.
//!
//! A connection that has not become a WebSocket costs a task with hyper's small buffers, and no longer than the time
//! for a handshake; whatever goes wrong on it concerns nobody else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::http::{Endpoint, Stage, router};
use crate::shared::Shared;

/// The largest head of a request, in bytes; a token may have 8 KiB.
const MAX_HEAD: usize = 16 * 1024;
/// The most headers that a request may have.
const MAX_HEADERS: usize = 64;
/// How much a socket may hold that is not yet sent: what a client that never reads costs the
/// kernel, which would otherwise let it grow to megabytes.
const SEND_BUFFER: usize = 16 * 1024;
/// How long to wait when the system has no more sockets.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// How long requests under way may take when the gateway ends.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// Whom a request comes from; an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Accepts connections until cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    stage: watch::Receiver<Stage>,
    cancelled: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let handshake_timeout = shared.settings.handshake_timeout;
    let router = router(Endpoint { shared, stage, upgrades: tasks.clone() });
    while let Some(accepted) = cancelled.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, address)) => {
                let serving = serve_connection(stream, address, router.clone(), handshake_timeout);
                let cancelled = cancelled.clone();
                tasks.spawn(async move { cancelled.run_until_cancelled(serving).await });
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

async fn serve_connection(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    handshake_timeout: Duration,
) {
    let socket = socket2::SockRef::from(&stream);
    if let Err(error) = socket.set_tcp_nodelay(true).and_then(|()| socket.set_send_buffer_size(SEND_BUFFER)) {
        tracing::debug!(%error, "cannot set options of a socket");
    }
    let peer = Peer(address.ip().to_canonical());
    let service = router.map_request(move |mut request: Request<_>| {
        request.extensions_mut().insert(peer);
        request
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(handshake_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, peer = %peer.0, "an HTTP connection ended badly");
    }
}
