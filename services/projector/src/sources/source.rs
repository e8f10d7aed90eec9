//! The configured sources, which may change while the projector runs.

use std::sync::Arc;

use tidings_model::Tenant;
use tidings_streams::SourceStream;
use tokio::sync::watch;

use super::mapping::Mapping;

/// A stream of a team's own that is copied.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name, under which is known how far it is copied.
    pub name: String,
    /// The stream and the subjects.
    pub stream: SourceStream,
    /// The tenant whose events its messages become.
    pub tenant: Tenant,
    /// How a message's event is named.
    pub mapping: Mapping,
    /// Where copying begins.
    pub begin: Begin,
}

/// Where the copying of a source begins that was never copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the first message that the stream still has.
    All,
    /// With the first message that the stream stores from now on.
    New,
}

/// The configured sources, as they are now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sources(watch::Receiver<Arc<Vec<Source>>>);

impl Default for Sources {
    /// No sources.
    fn default() -> Self {
        Self(watch::channel(Arc::default()).1)
    }
}

impl From<watch::Receiver<Arc<Vec<Source>>>> for Sources {
    fn from(sources: watch::Receiver<Arc<Vec<Source>>>) -> Self {
        Self(sources)
    }
}

impl Sources {
    /// The source of this name.
    pub(crate) fn find(&self, name: &str) -> Option<Source> {
        self.0.borrow().iter().find(|source| source.name == name).cloned()
    }

    /// All of them, as they are now.
    pub(super) fn all(&mut self) -> Arc<Vec<Source>> {
        Arc::clone(&self.0.borrow_and_update())
    }

    /// Waits until they change. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // They never change again.
            std::future::pending::<()>().await;
        }
    }
}
