//! The listening sockets. They answer from the first moment, and say what the gateway waits for.
//!
//! Everything that a gateway is made of lies in NATS, and may not be there yet. Load balancers ask `/healthz` and
//! `/readyz` all the same, and clients are told to try again instead of being refused by the system.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use tidings_runtime::config::GatewayConfig;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use super::serve::{EXHAUSTED, serve_connection};
use super::tls::Identity;
use super::transport::Entrance;
use crate::error::{ApiCode, ApiError, StartError};

/// Connections that may wait to be accepted; the system bounds them further (`net.core.somaxconn` on
/// Linux). All clients of a gateway that ended come at once, and one that finds no room tries again
/// only after a second.
const BACKLOG: u32 = 16 * 1024;
/// How many are answered at once before there is a gateway.
const AT_ONCE: usize = 1_024;

/// A socket that listens.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    /// Of the admin interface, where it has an address of its own.
    admin: Option<TcpListener>,
    /// Where the admin interface is, if there is one.
    admin_address: Option<SocketAddr>,
}

impl Listening {
    /// Binds the configured addresses.
    pub fn bind(settings: &GatewayConfig) -> Result<Self, StartError> {
        let (listener, address) = bind("gateway.listen", settings.listen)?;
        let apart = settings.admin_listen.filter(|admin| *admin != settings.listen);
        let admin = apart.map(|admin| bind("gateway.admin_listen", admin)).transpose()?;
        let admin_address = match &admin {
            Some((_, address)) => Some(*address),
            None => settings.admin_listen.map(|_| address),
        };
        Ok(Self { listener, address, admin: admin.map(|(listener, _)| listener), admin_address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin interface listens, if it has one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The sockets for clients and for administrators.
    pub(crate) fn into_listeners(self) -> (TcpListener, Option<TcpListener>) {
        (self.listener, self.admin)
    }

    /// Answers every request with the reason why there is no gateway yet, until `awaited` is there.
    pub async fn answer_until<T>(
        &self,
        settings: &GatewayConfig,
        identity: Option<&Identity>,
        reason: watch::Receiver<String>,
        awaited: impl Future<Output = T>,
    ) -> T {
        let tls = identity.map(Identity::acceptor);
        let waiting = Waiting {
            router: router(reason),
            tasks: TaskTracker::new(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        };
        let clients = Entrance::new(settings.clone(), tls.clone(), settings.proxy_protocol);
        let administrators = Entrance::new(settings.clone(), tls, false);
        let administration = async {
            match &self.admin {
                Some(listener) => waiting.answer(listener, administrators).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            awaited = awaited => awaited,
            () = waiting.answer(&self.listener, clients) => std::future::pending().await,
            () = administration => std::future::pending().await,
        }
    }
}

/// What answers as long as there is no gateway.
struct Waiting {
    router: Router,
    tasks: TaskTracker,
    places: Arc<Semaphore>,
}

impl Waiting {
    async fn answer(&self, listener: &TcpListener, entrance: Entrance) {
        let entrance = Arc::new(entrance);
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, address)) => {
                    let (entrance, router) = (Arc::clone(&entrance), self.router.clone());
                    self.tasks.spawn(async move {
                        let _place = place;
                        let longest = entrance.settings().handshake_timeout * 2;
                        let serving = serve_connection(stream, address, entrance, router);
                        let _ = tokio::time::timeout(longest, serving).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

fn router(reason: watch::Receiver<String>) -> Router {
    let starting = async move || ApiError::new(ApiCode::Starting, reason.borrow().clone());
    Router::new().route("/healthz", get(async || "ok\n")).fallback(starting).layer(map_response(closing))
}

/// No client keeps a connection to a server that is about to be replaced.
async fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Listens at the address that this key names, and says where that is.
fn bind(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listener = listen(address);
    let bound = listener.and_then(|listener| listener.local_addr().map(|bound| (listener, bound)));
    bound.map_err(|source| StartError::Listen { key, address, source })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A gateway that starts again does not wait for the connections of its predecessor to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// More than the 128 that libraries let wait by default.
    #[tokio::test]
    async fn many_may_wait_to_be_accepted() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        for _ in 0..512 {
            // A connection for which there is no room is not answered at all.
            let connecting = tokio::net::TcpStream::connect(address);
            let connected = tokio::time::timeout(Duration::from_secs(30), connecting).await;
            waiting.push(connected.expect("there is room").unwrap());
        }
    }
}
