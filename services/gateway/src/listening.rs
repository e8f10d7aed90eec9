//! The sockets for clients and administrators, and what is served on them.
//!
//! They answer from the first moment, and say what the gateway waits for. Everything that a gateway is made of lies in
//! NATS, and may not be there yet. Load balancers ask `/healthz` and `/readyz` all the same, and clients are told to try
//! again instead of being refused by the system.

use std::net::SocketAddr;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use tidings_net::{CertificateError, Identity, Listener, PendingLimits, Server, Settings, TrustedProxies};
use tidings_runtime::config::GatewayConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::{Endpoint, Routes, router};
use crate::error::{ApiCode, ApiError, StartError, unread_head};

/// How many are answered at once before there is a gateway.
const AT_ONCE: usize = 1_024;

/// Reads the certificate that the settings name; `None` if they name none, and the gateway does not speak TLS.
pub async fn identity(settings: &GatewayConfig) -> Result<Option<Identity>, CertificateError> {
    match (settings.tls_certificate.clone(), settings.tls_key.clone()) {
        (Some(certificate), Some(key)) => Identity::load(certificate, key).await.map(Some),
        _ => Ok(None),
    }
}

/// The sockets that a gateway listens on.
#[derive(Debug)]
pub struct Listening {
    clients: Listener,
    /// Of the admin interface, where it has an address of its own.
    admin: Option<Listener>,
    /// Where the admin interface is, if there is one.
    admin_address: Option<SocketAddr>,
}

impl Listening {
    /// Binds the configured addresses.
    pub fn bind(settings: &GatewayConfig) -> Result<Self, StartError> {
        let clients = Listener::bind("gateway.listen", settings.listen)?;
        let apart = settings.admin_listen.filter(|admin| *admin != settings.listen);
        let admin = apart.map(|admin| Listener::bind("gateway.admin_listen", admin)).transpose()?;
        let shared = settings.admin_listen.map(|_| clients.address());
        let admin_address = admin.as_ref().map(Listener::address).or(shared);
        Ok(Self { clients, admin, admin_address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.clients.address()
    }

    /// Where its admin interface listens, if it has one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Answers every request with the reason why there is no gateway yet, until `awaited` is there.
    pub async fn answer_until<T>(
        &self,
        settings: &GatewayConfig,
        identity: Option<&Identity>,
        reason: watch::Receiver<String>,
        awaited: impl Future<Output = T>,
    ) -> T {
        let router = starting(reason);
        let clients = Server::new(server_settings(settings), identity, router.clone());
        let administrators = Server::new(admin_settings(settings), identity, router);
        let administration = async {
            match &self.admin {
                Some(listener) => administrators.run_meanwhile(listener, AT_ONCE).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            awaited = awaited => awaited,
            () = clients.run_meanwhile(&self.clients, AT_ONCE) => std::future::pending().await,
            () = administration => std::future::pending().await,
        }
    }

    /// Serves clients and administrators until cancelled.
    pub(crate) fn serve<'a>(
        &'a self,
        identity: Option<&Identity>,
        endpoint: &Endpoint,
        cancelled: &'a CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<'a> {
        let settings = endpoint.settings();
        // Administrators have room of their own.
        let limits =
            PendingLimits { per_address: settings.pending_per_address, all: settings.pending_connections };
        let is_shared = self.admin.is_none() && self.admin_address.is_some();
        let routes = if is_shared { Routes::All } else { Routes::Clients };
        let (clients, of_clients) = router(routes, endpoint);
        let clients = Server::new(server_settings(settings), identity, clients);
        let (administration, of_admin) = router(Routes::Admin, endpoint);
        let administration = Server::new(admin_settings(settings), identity, administration);
        async move {
            let administration = async {
                if let Some(listener) = &self.admin {
                    administration.run(listener, limits, &of_admin, cancelled).await;
                }
            };
            tokio::join!(clients.run(&self.clients, limits, &of_clients, cancelled), administration);
        }
    }
}

fn server_settings(settings: &GatewayConfig) -> Settings {
    Settings {
        section: "gateway",
        trusted_proxies: TrustedProxies::new(settings.trusted_proxies.iter().copied()),
        proxy_protocol: settings.proxy_protocol,
        handshake_timeout: settings.handshake_timeout,
        response_timeout: settings.response_timeout,
        max_headers: settings.max_headers.get(),
        max_header_bytes: settings.max_header_bytes,
        error_body: unread_head,
    }
}

/// Administrators come from within, past the balancer that sends PROXY headers.
fn admin_settings(settings: &GatewayConfig) -> Settings {
    Settings { proxy_protocol: false, ..server_settings(settings) }
}

fn starting(reason: watch::Receiver<String>) -> Router {
    let starting = async move || ApiError::new(ApiCode::Starting, reason.borrow().clone());
    Router::new().route("/healthz", get(async || "ok\n")).fallback(starting).layer(map_response(closing))
}

/// No client keeps a connection to a server that is about to be replaced.
async fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
