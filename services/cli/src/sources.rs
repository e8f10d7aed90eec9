//! The configured sources, and reloading them in a running projector: all of them, or none if one has an error.

use std::error::Error;
use std::sync::Arc;

use tidings_model::Tenant;
use tidings_projector::{Begin, Mapping, MappingError, Source, Sources};
use tidings_runtime::config::{Config, SourceBegin, SourceConfig};
use tidings_runtime::shutdown::Shutdown;
use tidings_streams::SourceStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

/// The sources of the configuration.
pub(crate) fn configured(config: &Config) -> Result<Vec<Source>, Failure> {
    config.projector.sources.iter().map(source).collect()
}

fn source(config: &SourceConfig) -> Result<Source, Failure> {
    let SourceConfig { name, stream, subjects, tenant, event, events, begin, api_prefix } = config.clone();
    let mapping = Mapping::parse(&event, &events);
    let mapping = mapping.map_err(|source| SourceMappingError { name: name.clone(), source })?;
    Ok(Source {
        stream: SourceStream { stream, subjects, api_prefix },
        tenant: Tenant::parse(&tenant)?,
        mapping,
        begin: match begin {
            SourceBegin::All => Begin::All,
            SourceBegin::New => Begin::New,
        },
        name,
    })
}

/// The mapping of a source cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("projector.sources: the mapping of the source {name} cannot be used")]
struct SourceMappingError {
    name: String,
    source: MappingError,
}

/// The sources of the configuration as it is now; on SIGHUP, of the configuration that is read again then.
pub(crate) fn follow(
    config: &Config,
    read_again: impl Fn() -> Result<Config, Failure> + Send + Sync + 'static,
    shutdown: &Shutdown,
) -> Result<Sources, Failure> {
    let (sender, sources) = watch::channel(Arc::new(configured(config)?));
    let (hangups, token) = (signal(SignalKind::hangup())?, shutdown.token());
    shutdown.spawn("configuration", async move {
        token.run_until_cancelled(reload(read_again, hangups, sender)).await;
    });
    Ok(sources.into())
}

async fn reload(
    read_again: impl Fn() -> Result<Config, Failure>,
    mut hangups: Signal,
    sender: watch::Sender<Arc<Vec<Source>>>,
) {
    while hangups.recv().await.is_some() {
        match read_again().and_then(|config| configured(&config)) {
            Ok(sources) => {
                let (number, sources) = (sources.len(), Arc::new(sources));
                let has_changed = sender.send_if_modified(|running| {
                    let is_other = *running != sources;
                    *running = sources;
                    is_other
                });
                if has_changed {
                    tracing::info!(sources = number, "sources reloaded");
                }
            }
            Err(error) => tracing::error!(
                error = &*error as &(dyn Error + 'static),
                "sources not reloaded; the previous ones stay in use"
            ),
        }
    }
}
