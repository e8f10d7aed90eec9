//! Connects to NATS.
//!
//! The client leaves a server that stops answering: pings detect a silent server within five seconds, and
//! `leave_cut_off_servers` detects a server that answers but has lost its cluster. Servers are tried in random order,
//! each with its own timeout, and the server that was just lost comes last.

mod error;
mod figures;
mod login;
mod servers;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};

use figures::is_permission;
use servers::Servers;

pub use error::ConnectError;
pub use figures::{ConnectionFigures, METRICS as CONNECTION_METRICS};
pub use login::Login;

/// How long the server may be silent before the client pings it. The client leaves a server that owes it three answers;
/// any byte from the server restarts the count.
const PING_INTERVAL: Duration = Duration::from_millis(1_500);

/// The timeout of a JetStream request. A request to a stream without a leader is never answered, so a longer wait after
/// an election would be wasted.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest pause between two attempts to reconnect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The servers, and how to log in.
#[derive(Debug, Clone)]
pub struct ConnectSettings {
    /// `nats://host:port`, several separated by commas.
    pub url: String,
    /// How to log in.
    pub login: Login,
    /// TLS certificates of the servers and of this process.
    pub tls: TlsFiles,
    /// How long one attempt to connect to one server may take.
    pub timeout: Duration,
    /// The name that `nats-server` shows for the connection.
    pub name: String,
    /// What is counted of the connection.
    pub figures: Arc<ConnectionFigures>,
}

/// PEM files for TLS. If any is set, connections without TLS are refused.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// Certificates of the authorities that servers are verified with, instead of the system's.
    pub authorities: Option<PathBuf>,
    /// This process's certificate and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    fn apply(&self, options: ConnectOptions) -> ConnectOptions {
        let is_required = self.authorities.is_some() || self.identity.is_some();
        let options = if is_required { options.require_tls(true) } else { options };
        let options = match &self.authorities {
            Some(path) => options.add_root_certificates(path.clone()),
            None => options,
        };
        match &self.identity {
            Some((certificate, key)) => options.add_client_certificate(certificate.clone(), key.clone()),
            None => options,
        }
    }
}

/// Connects to one of the servers. The client reconnects by itself when it loses the connection later.
pub async fn connect(settings: &ConnectSettings) -> Result<Client, ConnectError> {
    let urls: Vec<String> = settings.url.split(',').map(|url| url.trim().to_owned()).collect();
    let servers = Arc::new(Servers::default());
    let options = settings.login.apply(options(settings, urls.len(), &servers)).await?;
    let mut attempts = urls.len();
    loop {
        attempts = attempts.saturating_sub(1);
        // Each attempt uses one server, which this module chooses.
        match options.clone().connect(urls.clone()).await {
            Ok(client) => {
                settings.figures.began(client.statistics());
                return Ok(client);
            }
            Err(error) if attempts > 0 && !is_refusal(&error) => {
                tracing::info!(%error, "one NATS server cannot be reached; trying another");
            }
            Err(error) => return Err(ConnectError::new(settings, error)),
        }
    }
}

fn options(settings: &ConnectSettings, configured: usize, servers: &Arc<Servers>) -> ConnectOptions {
    let (servers, figures) = (Arc::clone(servers), Arc::clone(&settings.figures));
    let options = ConnectOptions::new()
        .name(&settings.name)
        .connection_timeout(settings.timeout)
        .ping_interval(PING_INTERVAL)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .reconnect_delay_callback(pause)
        .reconnect_to_server_callback(move |pool, _| {
            let choice = servers.choose(&pool);
            async move { choice }
        })
        .event_callback(move |event| {
            figures.note(&event);
            async move { report(&event) }
        });
    // Discovered servers are the configured ones under other names: they would be tried twice, and a certificate may
    // not contain their names.
    let options = if configured > 1 { options.ignore_discovered_servers() } else { options };
    settings.tls.apply(options)
}

/// How many times the client has connected.
pub(crate) fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}

fn is_refusal(error: &async_nats::ConnectError) -> bool {
    matches!(error.kind(), ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation)
}

/// The first attempt is made at once; the pauses then double from a few milliseconds.
fn pause(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(2)).unwrap_or(u32::MAX).min(16);
    let pause = Duration::from_millis(4).saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_PAUSE);
    if attempts <= 1 { Duration::ZERO } else { pause }
}

/// Logs a connection event. Denied permissions and lost messages are reported only here.
pub(crate) fn report(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("lost the connection to NATS; reconnecting"),
        Event::ServerError(ServerError::Other(error)) if is_permission(error) => {
            // The client library requests more than Tidings does, such as the state of a deleted consumer. A request
            // that Tidings makes and that is denied fails there, with its own error.
            tracing::debug!(%error, "NATS denied a permission to this user");
        }
        Event::ServerError(error) => tracing::error!(%error, "NATS reported an error"),
        Event::ClientError(error) => tracing::warn!(%error, "the NATS client reported an error"),
        Event::SlowConsumer(subscription) => {
            tracing::error!(subscription, "a NATS subscription overflowed and lost messages");
        }
        other => tracing::info!(event = %other, "NATS connection"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second() {
        let pauses: Vec<_> = (0..14).map(|attempts| pause(attempts).as_millis()).collect();
        assert_eq!(pauses, [0, 0, 4, 8, 16, 32, 64, 128, 256, 512, 1_000, 1_000, 1_000, 1_000]);
        assert_eq!(pause(usize::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn permissions_are_told_from_other_errors() {
        assert!(is_permission("Permissions Violation for Publish to \"$JS.API.INFO\""));
        assert!(is_permission("'permissions violation for subscription to \"a\"'"));
        assert!(!is_permission("maximum control line exceeded"));
    }
}
