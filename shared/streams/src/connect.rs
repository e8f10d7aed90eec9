//! The connection to NATS.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};

/// Where NATS is and who we are there.
#[derive(Debug, Clone)]
pub struct ConnectSettings {
    /// `nats://host:port`, several separated by commas.
    pub url: String,
    /// A `.creds` file.
    pub credentials: Option<PathBuf>,
    /// How long the first connection may take.
    pub timeout: Duration,
    /// The name that `nats-server` shows for the connection.
    pub name: String,
}

/// Connects; later losses of the connection are mended by the client itself.
pub async fn connect(settings: &ConnectSettings) -> Result<Client, ConnectError> {
    let unreachable = |source: async_nats::ConnectError| ConnectError::Unreachable {
        url: settings.url.clone(),
        source: Box::new(source),
    };
    let servers: Vec<String> = settings.url.split(',').map(|url| url.trim().to_owned()).collect();
    let options = ConnectOptions::new()
        .name(&settings.name)
        .connection_timeout(settings.timeout)
        .event_callback(|event| async move { report(&event) });
    let options = match &settings.credentials {
        None => options,
        Some(path) => options
            .credentials_file(path)
            .await
            .map_err(|source| ConnectError::Credentials { path: path.clone(), source })?,
    };
    let attempt = tokio::time::timeout(settings.timeout, options.connect(servers)).await;
    match attempt {
        Ok(connected) => connected.map_err(unreachable),
        Err(_) => Err(ConnectError::Silent { url: settings.url.clone(), timeout: settings.timeout }),
    }
}

/// A denied permission and a lost message show up here and nowhere else.
pub(crate) fn report(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("lost the connection to NATS; reconnecting"),
        Event::ServerError(error) => tracing::error!(%error, "NATS refuses something"),
        Event::ClientError(error) => tracing::warn!(%error, "the NATS client reports a fault"),
        Event::SlowConsumer(subscription) => {
            tracing::error!(subscription, "a NATS subscription overflowed and lost messages");
        }
        other => tracing::info!(event = %other, "NATS connection"),
    }
}

/// Why there is no connection to NATS.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers there, or refuses.
    #[error("cannot connect to NATS at {url}; is nats-server running there? `nats.url` says where to look")]
    Unreachable {
        /// The configured address.
        url: String,
        /// What the client says.
        #[source]
        source: Box<async_nats::ConnectError>,
    },
    /// Somebody is there but does not speak NATS, or the network swallows everything.
    #[error("nothing at {url} answered as NATS within {timeout:?}; `nats.url` says where to look")]
    Silent {
        /// The configured address.
        url: String,
        /// How long we waited.
        timeout: Duration,
    },
    /// The credentials cannot be read.
    #[error("cannot read the NATS credentials in {path}; `nats.credentials` names a .creds file", path = path.display())]
    Credentials {
        /// The configured file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}
