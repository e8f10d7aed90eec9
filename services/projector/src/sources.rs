//! Sources: streams of a team's own, whose messages become events without any change at the team's side.
//!
//! One task per source copies its messages into `EVENTS`, in one of the projectors that have the source in their
//! configuration; a lease says in which. So a source that is missing, or whose stream is slow, delays no other. What makes
//! a copy come once and in order is in `tidings_streams` ([`CopyWriter`](tidings_streams::CopyWriter)), not in the lease,
//! which only spares work.
//!
//! A message without an event's name is copied, too, and rejected with the reason when its turn comes. When it is retried,
//! the projector maps it again.

mod copier;
mod figures;
mod mapping;
mod remap;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_metrics::Registry;
use tidings_streams::Topology;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::copier::copy;
use self::figures::SourcesFigures;

pub use self::figures::METRICS as SOURCE_METRICS;
pub use self::mapping::{Mapping, MappingError, Unmapped};
pub(crate) use self::remap::Remap;
pub use self::source::{Begin, Source, Sources};

/// A source that is being copied.
struct Running {
    source: Source,
    stopped: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stopped.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(source = self.source.name, %error, "the copying of the source ended by itself");
        }
    }
}

/// Copies all sources until it is cancelled; takes up what changes in them. Their figures are in the registry.
pub async fn copy_sources(
    topology: Topology,
    mut sources: Sources,
    registry: Registry,
    cancelled: CancellationToken,
) {
    let figures = Arc::new(SourcesFigures::default());
    registry.register(&figures);
    let mut running: BTreeMap<String, Running> = BTreeMap::new();
    loop {
        let wanted = sources.all();
        let is_wanted = |running: &Running| wanted.contains(&running.source);
        let over: Vec<_> = running.iter().filter(|(_, running)| !is_wanted(running)).collect();
        let over: Vec<String> = over.into_iter().map(|(name, _)| name.clone()).collect();
        for name in over {
            figures.remove(&name);
            if let Some(over) = running.remove(&name) {
                over.stop().await;
            }
        }
        for source in wanted.iter() {
            running.entry(source.name.clone()).or_insert_with(|| {
                let stopped = CancellationToken::new();
                let figures = figures.of(&source.name);
                let copying = copy(topology.clone(), source.clone(), figures, stopped.clone());
                Running {
                    source: source.clone(),
                    stopped,
                    task: AbortOnDropHandle::new(tokio::spawn(Box::pin(copying))),
                }
            });
        }
        tokio::select! {
            () = cancelled.cancelled() => break,
            () = sources.changed() => {}
        }
    }
    for running in running.values() {
        running.stopped.cancel();
    }
    for running in running.into_values() {
        running.stop().await;
    }
}
