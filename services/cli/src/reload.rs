//! Reloads catalogs in a running process, without a restart: all of them, or none if one has an error.

mod figures;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::{Catalogs, breaks};
use tidings_metrics::Registry;
use tidings_runtime::config::Config;
use tidings_runtime::shutdown::Shutdown;
use tidings_streams::{Topology, accept_catalogs, are_catalogs_recorded, record_catalogs};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use self::figures::CatalogFigures;
#[cfg(test)]
pub(crate) use self::figures::METRICS;
use crate::catalogs::{self, CatalogsError, Read, Texts};
use crate::failure::Failure;

/// How often the folder is checked while it is being edited.
const LOOK: Duration = Duration::from_secs(1);

/// How often the record of the running catalogs is checked.
const KEEP: Duration = Duration::from_secs(2);

/// When catalogs are reloaded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reason {
    /// On SIGHUP, as is usual for services.
    Hangup,
    /// On SIGHUP, or when a file has changed.
    Change,
}

/// Sends the current catalogs on a channel. If a topology is given, also records them there, at the start and after
/// each change, so that `tidings check` can compare.
pub(crate) async fn keep_current(
    config: &Config,
    first: Read,
    topology: Option<&Topology>,
    (shutdown, registry): (&Shutdown, &Registry),
    reason: Reason,
) -> Result<watch::Receiver<Arc<Catalogs>>, Failure> {
    let (sender, current) = watch::channel(Arc::clone(&first.catalogs));
    let figures = Arc::new(CatalogFigures::new(&first.texts));
    registry.register(&figures);
    let reloading = Reloading {
        config: config.clone(),
        topology: topology.cloned(),
        reason,
        seen: first.texts.clone(),
        running: first,
        sender,
        figures,
    };
    Box::pin(reloading.record(true)).await;
    let hangups = signal(SignalKind::hangup())?;
    let (token, running) = (shutdown.token(), reloading.run(hangups));
    shutdown.spawn("catalogs", async move {
        token.run_until_cancelled(Box::pin(running)).await;
    });
    Ok(current)
}

struct Reloading {
    config: Config,
    topology: Option<Topology>,
    reason: Reason,
    running: Read,
    /// The files last checked, with or without errors.
    seen: Texts,
    sender: watch::Sender<Arc<Catalogs>>,
    figures: Arc<CatalogFigures>,
}

impl Reloading {
    async fn run(mut self, mut hangups: Signal) {
        let mut keeping = tokio::time::interval(KEEP);
        keeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = keeping.tick() => self.keep_record().await,
                _ = hangups.recv() => self.look(true).await,
                () = tokio::time::sleep(LOOK), if matches!(self.reason, Reason::Change) => self.look(false).await,
            }
        }
    }

    /// Loads the catalogs on disk if they have no error. Logs the result of every request by signal, and of every
    /// change of files.
    async fn look(&mut self, was_asked: bool) {
        let (schemas, seen) = (self.config.schemas.clone(), self.seen.clone());
        // Compiling schemas takes a while; the services go on meanwhile.
        let looking = tokio::task::spawn_blocking(move || {
            let texts = catalogs::read_texts(&schemas)?;
            let is_new = was_asked || texts != seen;
            Ok::<_, CatalogsError>(is_new.then(|| (texts.clone(), catalogs::parse(texts))))
        });
        match looking.await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some((texts, parsed)))) => {
                self.seen = texts;
                match parsed {
                    Ok(read) if read.texts == self.running.texts => {
                        self.figures.unchanged();
                        tracing::info!("the catalogs are the same as before");
                    }
                    Ok(read) => self.take_up(read).await,
                    Err(error) => self.refuse(&error),
                }
            }
            Ok(Err(error)) if was_asked => self.refuse(&error),
            // A folder that is being edited may be incomplete for a moment.
            Ok(Err(error)) => tracing::debug!(error = &error as &dyn Error, "cannot read catalogs yet"),
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse(&self, error: &(dyn Error + 'static)) {
        self.figures.refused();
        tracing::error!(error, "catalogs not reloaded; the previous ones stay in use");
    }

    async fn take_up(&mut self, read: Read) {
        for (tenant, files) in &read.texts {
            let old = self.running.texts.get(tenant).filter(|old| *old != files);
            let broken = old.map(|old| breaks(old, files)).transpose().ok().flatten().unwrap_or_default();
            for change in broken {
                tracing::warn!(%tenant, "{change}");
            }
        }
        self.sender.send_replace(Arc::clone(&read.catalogs));
        tracing::info!(tenants = read.tenants(), "catalogs reloaded");
        self.figures.reloaded(&read.texts);
        self.running = read;
        Box::pin(self.record(false)).await;
    }

    /// Records the running catalogs again if the bucket is gone.
    async fn keep_record(&self) {
        let Some(topology) = &self.topology else { return };
        if matches!(are_catalogs_recorded(topology).await, Ok(false)) {
            tracing::error!("the bucket CATALOGS was gone; created it again with the running catalogs");
            Box::pin(self.record(true)).await;
        }
    }

    /// Saving a file that is being edited does not accept it: `tidings check` must be able to report what it breaks.
    async fn record(&self, is_start: bool) {
        let Some(topology) = &self.topology else { return };
        let texts = &self.running.texts;
        let recording = async {
            record_catalogs(topology, texts).await?;
            match self.reason {
                Reason::Hangup => accept_catalogs(topology, texts, false).await,
                Reason::Change if is_start => accept_catalogs(topology, texts, true).await,
                Reason::Change => Ok(()),
            }
        };
        if let Err(error) = recording.await {
            tracing::warn!(
                error = &error as &dyn Error,
                "`tidings check` cannot report what a new catalog would break"
            );
        }
    }
}
