//! Errors of connecting to NATS.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::ConnectErrorKind;

use super::ConnectSettings;

/// Why there is no connection to NATS.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No server accepts connections at the address.
    #[error("cannot connect to NATS at {url}; is nats-server running there? `nats.url` says where to look")]
    Unreachable {
        /// The configured servers.
        url: String,
        /// The error of the client for the last server that it tried.
        #[source]
        source: Box<async_nats::ConnectError>,
    },
    /// The server refuses the login.
    #[error(
        "NATS at {url} refuses the login by {login}; \
         set `nats.credentials`, `nats.user`, `nats.token`, `nats.nkey_seed` or `nats.tls_certificate`"
    )]
    Refused {
        /// The configured servers.
        url: String,
        /// How this process logged in.
        login: &'static str,
        /// The error of the client.
        #[source]
        source: Box<async_nats::ConnectError>,
    },
    /// The server does not speak NATS, or the network drops everything.
    #[error("nothing at {url} answered as NATS within {timeout:?}; check `nats.url`")]
    Silent {
        /// The configured servers.
        url: String,
        /// The timeout of each server.
        timeout: Duration,
    },
    /// The credentials cannot be read.
    #[error("cannot read the NATS credentials in {path}; `nats.credentials` names a .creds file", path = path.display())]
    Credentials {
        /// The configured file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: std::io::Error,
    },
}

impl ConnectError {
    pub(super) fn new(settings: &ConnectSettings, source: async_nats::ConnectError) -> Self {
        let url = settings.url.clone();
        match source.kind() {
            ConnectErrorKind::TimedOut => Self::Silent { url, timeout: settings.timeout },
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Self::Refused { url, login: settings.login.name(), source: Box::new(source) }
            }
            _ => Self::Unreachable { url, source: Box::new(source) },
        }
    }
}
