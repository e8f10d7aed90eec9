//! What lies between an accepted socket and HTTP: the PROXY header, where there is one, and TLS, where it is
//! spoken.

use std::io;
use std::net::{IpAddr, SocketAddr};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tidings_runtime::config::GatewayConfig;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::proxy_protocol::{self, HeaderError};
use crate::client_ip::is_trusted;

/// Prepares accepted connections for HTTP.
pub(super) struct Entrance {
    settings: GatewayConfig,
    tls: Option<TlsAcceptor>,
    /// Whether each connection begins with a PROXY header.
    proxy_protocol: bool,
    /// Bounds how often the log warns of connections that an operator should know of.
    complaints: DefaultDirectRateLimiter,
}

/// A connection on which HTTP is spoken next.
pub(super) enum Entered {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Entrance {
    pub(super) fn new(settings: GatewayConfig, tls: Option<TlsAcceptor>, proxy_protocol: bool) -> Self {
        let complaints = RateLimiter::direct(Quota::per_second(std::num::NonZeroU32::MIN));
        Self { settings, tls, proxy_protocol, complaints }
    }

    pub(super) fn settings(&self) -> &GatewayConfig {
        &self.settings
    }

    /// Lets a connection in before `deadline`, or says in the log why not. With it, the address at its other
    /// end, as far as that is known without HTTP.
    pub(super) async fn admit(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        deadline: Instant,
    ) -> Option<(Entered, IpAddr)> {
        let admitted = timeout_at(deadline, self.try_admit(stream, address.ip().to_canonical())).await;
        let error = match admitted.unwrap_or(Err(EntranceError::TooSlow)) {
            Ok(admitted) => return Some(admitted),
            Err(error) => error,
        };
        let cause = &error as &dyn std::error::Error;
        if error.concerns_the_operator() && self.complaints.check().is_ok() {
            tracing::warn!(error = cause, %address, "a connection was closed; others may have been, too");
        } else {
            tracing::debug!(error = cause, %address, "a connection was closed");
        }
        None
    }

    async fn try_admit(
        &self,
        mut stream: TcpStream,
        address: IpAddr,
    ) -> Result<(Entered, IpAddr), EntranceError> {
        let mut nearest = address;
        if self.proxy_protocol {
            if !is_trusted(address, &self.settings().trusted_proxies) {
                return Err(EntranceError::Stranger);
            }
            nearest = proxy_protocol::take(&mut stream).await?.unwrap_or(address);
        }
        let entered = match &self.tls {
            Some(tls) => Entered::Tls(Box::new(tls.accept(stream).await.map_err(EntranceError::Tls)?)),
            None => Entered::Plain(stream),
        };
        Ok((entered, nearest))
    }
}

/// Why a connection does not come as far as HTTP.
#[derive(Debug, thiserror::Error)]
enum EntranceError {
    #[error("only `gateway.trusted_proxies` may connect while `gateway.proxy_protocol` is true")]
    Stranger,
    #[error("a trusted proxy did not name its client, as `gateway.proxy_protocol` demands")]
    Header(#[from] HeaderError),
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("the client took longer than `gateway.handshake_timeout`")]
    TooSlow,
}

impl EntranceError {
    /// Whether it tells of settings that do not fit each other, rather than of a client. Balancers connect
    /// and close again to see whether the gateway is there.
    fn concerns_the_operator(&self) -> bool {
        match self {
            Self::Stranger => true,
            Self::Header(error) => !matches!(error, HeaderError::Ended(_)),
            Self::Tls(_) | Self::TooSlow => false,
        }
    }
}
