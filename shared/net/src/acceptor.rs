//! What lies between an accepted socket and HTTP: the PROXY header, where there is one, and TLS, where it is
//! spoken.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tidings_access::Transport;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::client_ip::TrustedProxies;
use crate::proxy_protocol::{self, HeaderError};
use crate::takeover::ClientStream;
use crate::tls::Identity;

/// Prepares accepted connections for HTTP.
pub(crate) struct Acceptor {
    tls: Option<TlsAcceptor>,
    trusted: TrustedProxies,
    /// Whether each connection begins with a PROXY header.
    proxy_protocol: bool,
    handshake_timeout: Duration,
    /// The section of the configuration that the operator is referred to.
    section: &'static str,
    /// Bounds how often the log warns of connections that an operator should know of.
    warnings: DefaultDirectRateLimiter,
}

/// A connection on which HTTP is spoken next.
pub(crate) struct Accepted {
    pub(crate) stream: ClientStream,
    /// The address at the other end, as far as that is known without HTTP.
    pub(crate) nearest: IpAddr,
    /// What the client speaks; only its proxy knows it where that is unknown.
    pub(crate) transport: Transport,
}

impl Acceptor {
    pub(crate) fn new(
        identity: Option<&Identity>,
        trusted: TrustedProxies,
        proxy_protocol: bool,
        handshake_timeout: Duration,
        section: &'static str,
    ) -> Self {
        let warnings = RateLimiter::direct(Quota::per_second(NonZeroU32::MIN));
        let tls = identity.map(Identity::acceptor);
        Self { tls, trusted, proxy_protocol, handshake_timeout, section, warnings }
    }

    /// Whether the other end of a connection is a proxy that is trusted.
    pub(crate) fn is_proxy(&self, address: SocketAddr) -> bool {
        self.trusted.contains(address.ip().to_canonical())
    }

    /// Reads what comes before HTTP; what must come before `deadline`. If it does not, the log says why.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        deadline: Instant,
    ) -> Option<Accepted> {
        let accepted = timeout_at(deadline, self.try_accept(stream, address.ip().to_canonical())).await;
        let error = match accepted.unwrap_or_else(|_| Err(self.too_slow())) {
            Ok(accepted) => return Some(accepted),
            Err(error) => error,
        };
        let cause = &error as &dyn std::error::Error;
        if error.concerns_the_operator() && self.warnings.check().is_ok() {
            tracing::warn!(error = cause, %address, "a connection was closed; others may have been, too");
        } else {
            tracing::debug!(error = cause, %address, "a connection was closed");
        }
        None
    }

    fn too_slow(&self) -> AcceptError {
        AcceptError::TooSlow { section: self.section, limit: self.handshake_timeout }
    }

    async fn try_accept(&self, mut stream: TcpStream, address: IpAddr) -> Result<Accepted, AcceptError> {
        let section = self.section;
        let is_proxy = self.trusted.contains(address);
        let mut nearest = address;
        if self.proxy_protocol {
            if !is_proxy {
                return Err(AcceptError::Stranger { section });
            }
            let named = proxy_protocol::take(&mut stream).await;
            nearest = named.map_err(|source| AcceptError::Header { section, source })?.unwrap_or(address);
        }
        let stream = match &self.tls {
            Some(tls) => ClientStream::Tls(Box::new(tls.accept(stream).await.map_err(AcceptError::Tls)?)),
            None => ClientStream::Plain(stream),
        };
        let transport = match &stream {
            ClientStream::Tls(_) => Transport::Secured,
            ClientStream::Plain(_) if self.proxy_protocol || is_proxy => Transport::Unknown,
            ClientStream::Plain(_) => Transport::Plain,
        };
        Ok(Accepted { stream, nearest, transport })
    }
}

/// Why a connection does not come as far as HTTP.
#[derive(Debug, thiserror::Error)]
enum AcceptError {
    #[error("only `{section}.trusted_proxies` may connect while `{section}.proxy_protocol` is true")]
    Stranger { section: &'static str },
    #[error("a trusted proxy did not name its client, as `{section}.proxy_protocol` demands")]
    Header { section: &'static str, source: HeaderError },
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("the client took longer than {limit:?} (`{section}.handshake_timeout`)")]
    TooSlow { section: &'static str, limit: Duration },
}

impl AcceptError {
    /// Whether the cause is settings that do not fit each other, rather than a client. Balancers connect
    /// and close again to see whether the service is there.
    fn concerns_the_operator(&self) -> bool {
        match self {
            Self::Stranger { .. } => true,
            Self::Header { source, .. } => !matches!(source, HeaderError::Ended(_)),
            Self::Tls(_) | Self::TooSlow { .. } => false,
        }
    }
}
